"""How one seam looks: its steel, its bead, its colours and its light, drawn from a seed."""

from dataclasses import dataclass

import cv2
import numpy as np

STEELS = ("bright", "brushed", "scale", "rusty", "sooty")
# Side of the picture of a lit sphere in pixels.
SPHERE = 129


@dataclass(frozen=True)
class Look:
    """The constants of one seam's appearance. Lengths are in strip pixels.

    Attributes:
        steel: One of STEELS.
        plate: Colour of the bare plate, BGR, 0 to 1.
        bead: Colour of the bead's metal, BGR, 0 to 1.
        slag: Colour of slag islands, BGR, 0 to 1.
        half_width: Mean half width of the bead.
        width_wander: Relative wander of the half width.
        rise: Height of the bead's crown.
        pitch: Distance of two ripples.
        ripple: Height of a ripple.
        crescent: How far a ripple's middle leads its ends, in half widths of the bead.
        ragged: Raggedness of the ripples, in pitches.
        lumps: Height of the bead's irregular lumps.
        weave: Amplitude of the bead's sideways swing.
        tint: Width of the heat tint beside the bead.
        tint_strength: 0 for none, 1 for vivid.
        tint_colours: Colour of the tint by distance from the bead, (256, 3) float32 BGR.
        brushed: Strength of rolling marks along the seam, 0 to 1.
        grain: Strength of fine speckle, 0 to 1.
        rust: Cover of rust, 0 to 1.
        scale_cover: Cover of mill scale, 0 to 1.
        soot: Strength of soot beside the bead, 0 to 1.
        slag_cover: Cover of slag on the bead, 0 to 1.
        gloss: Gloss of the plate and of the bead.
        sphere: Reflection by the normal (nx to the right, ny down), (SPHERE, SPHERE) float32.
        marks: How marked the plate is (scratches, chalk, stains): 1 is usual.
    """

    steel: str
    plate: np.ndarray
    bead: np.ndarray
    slag: np.ndarray
    half_width: float
    width_wander: float
    rise: float
    pitch: float
    ripple: float
    crescent: float
    ragged: float
    lumps: float
    weave: float
    tint: float
    tint_strength: float
    tint_colours: np.ndarray
    brushed: float
    grain: float
    rust: float
    scale_cover: float
    soot: float
    slag_cover: float
    gloss: tuple[float, float]
    sphere: np.ndarray
    marks: float


def draw_look(seed: int) -> Look:
    """Draws the appearance of a seam.

    Args:
        seed: Any non-negative integer.

    Returns:
        A look; neighbouring seeds look nothing alike.
    """
    rng = np.random.default_rng([seed, 20])
    steel = STEELS[rng.integers(len(STEELS))]
    grey = {"bright": 0.74, "brushed": 0.62, "scale": 0.44, "rusty": 0.48, "sooty": 0.5}[steel]
    warmth = {"bright": 0.0, "brushed": 0.03, "scale": -0.03, "rusty": 0.1, "sooty": 0.07}[steel]
    grey *= rng.uniform(0.85, 1.15)
    warmth += rng.normal(0, 0.025)
    plate = grey * np.array([1 - warmth, 1.0, 1 + warmth])
    bead_warmth = rng.normal(-0.03, 0.05)
    bead = rng.uniform(0.42, 0.82) * np.array([1 - bead_warmth, 1.0, 1 + bead_warmth])
    slag_tone = rng.uniform(0.0, 1.0)
    slag = (1 - slag_tone) * np.array([0.18, 0.25, 0.37]) + slag_tone * np.array([0.5, 0.62, 0.7])
    half_width = 0.5 * rng.uniform(0.005, 0.011) / 3.75e-5  # a bead 5 to 11 mm wide
    pitch = rng.uniform(0.0008, 0.0025) / 3.75e-5
    covered = {"scale": 0.75, "rusty": 0.3, "sooty": 0.25}.get(steel, 0.0)
    return Look(
        steel=steel,
        plate=plate.astype(np.float32),
        bead=bead.astype(np.float32),
        slag=slag.astype(np.float32),
        half_width=half_width,
        width_wander=rng.uniform(0.04, 0.13),
        rise=half_width * rng.uniform(0.22, 0.5),
        pitch=pitch,
        ripple=pitch * rng.uniform(0.05, 0.17),
        crescent=rng.uniform(0.35, 1.1),
        ragged=rng.uniform(0.04, 0.26),
        lumps=0.6 + 4.0 * rng.random() ** 2,
        weave=rng.uniform(0.0, 12.0),
        tint=rng.uniform(110, 300),
        tint_strength=rng.uniform(0.45, 1.0) if steel != "scale" else rng.uniform(0.15, 0.5),
        tint_colours=_tint_colours(rng),
        brushed=rng.uniform(0.5, 1.0) if steel in ("bright", "brushed") else rng.uniform(0, 0.5),
        grain=rng.uniform(0.3, 1.0),
        rust=rng.uniform(0.3, 0.75) if steel == "rusty" else max(0.0, rng.uniform(-0.15, 0.12)),
        scale_cover=covered * rng.uniform(0.6, 1.2),
        soot=rng.uniform(0.5, 1.0) if steel == "sooty" else rng.uniform(0, 0.5),
        slag_cover=rng.uniform(0.0, 0.35),
        gloss=(rng.uniform(0.25, 0.7), rng.uniform(0.55, 1.0)),
        sphere=_lit_sphere(rng),
        marks=rng.uniform(0.4, 1.6),
    )


def _tint_colours(rng: np.random.Generator) -> np.ndarray:
    """Colours of the oxide film from the bead (thick) outwards to bare metal (none).

    The order is that of temper colours: grey and pale blue near the bead, blue, purple, brown,
    straw, then bare metal.
    """
    stops = np.array([0.0, 0.14, 0.3, 0.45, 0.56, 0.68, 0.82, 1.0])
    stops[1:-1] += rng.normal(0, 0.025, 6)
    colours = np.array(
        [
            [0.52, 0.52, 0.54],  # grey oxide
            [0.80, 0.78, 0.70],  # pale blue
            [1.00, 0.72, 0.50],  # blue
            [0.78, 0.42, 0.36],  # dark blue
            [0.50, 0.38, 0.52],  # purple
            [0.36, 0.52, 0.74],  # brown
            [0.62, 0.86, 0.98],  # straw
            [1.00, 1.00, 1.00],  # bare
        ]
    )
    colours[:-1] *= rng.uniform(0.85, 1.12, (7, 1))
    if rng.random() < 0.4:  # hot, slow welds: brown wins, the blue is thin
        colours[1:4] = 0.4 * colours[1:4] + 0.6 * np.array([0.36, 0.48, 0.62])
    x = np.linspace(0, 1, 256)
    table = np.stack([np.interp(x, stops, colours[:, channel]) for channel in range(3)], axis=1)
    table = np.stack(
        [np.convolve(np.pad(c, 8, "edge"), np.ones(17) / 17, "valid") for c in table.T]
    )
    return np.ascontiguousarray(table.T, np.float32)


def _lit_sphere(rng: np.random.Generator) -> np.ndarray:
    """What a metal sphere under this shop's lamps looks like, seen from the camera.

    The surface's brightness is looked up here by its normal: the dark surroundings, a broad main
    lamp near the camera, some lamps, windows and dark bodies around.
    """
    axis = np.linspace(-1, 1, SPHERE)
    nx, ny = np.meshgrid(axis, axis)
    tilt = np.hypot(nx, ny)
    lean = rng.uniform(0, 2 * np.pi)
    across = nx * np.cos(lean) + ny * np.sin(lean)
    sphere = 0.5 - 0.3 * tilt + 0.16 * across
    u0, v0 = rng.normal(0, 0.1, 2)
    sphere += 0.32 * np.exp(-((nx - u0) ** 2 + (ny - v0) ** 2) / rng.uniform(0.03, 0.12))
    for _ in range(rng.integers(3, 7)):  # lamps and windows
        u0, v0 = rng.uniform(-0.75, 0.75, 2)
        su, sv = rng.uniform(0.04, 0.25, 2)
        spot = np.exp(-(np.abs((nx - u0) / su) ** 3) - np.abs((ny - v0) / sv) ** 3)
        sphere += rng.uniform(0.25, 1.1) * spot
    for _ in range(rng.integers(1, 4)):  # dark bodies
        u0, v0 = rng.uniform(-0.8, 0.8, 2)
        spot = np.exp(-((nx - u0) ** 2 + (ny - v0) ** 2) / rng.uniform(0.02, 0.12))
        sphere *= 1 - rng.uniform(0.2, 0.6) * spot
    sphere = cv2.GaussianBlur(np.maximum(sphere, 0.05), (0, 0), 1.5)
    return (sphere / sphere[SPHERE // 2, SPHERE // 2] * 0.95).astype(np.float32)
