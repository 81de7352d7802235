"""The bead: a dome with a comb of ripples, slag on it and a fusion line at its toes."""

from dataclasses import dataclass

import cv2
import numpy as np

from weld_inspection.simulation.lattice import Lattice
from weld_inspection.simulation.look import Look
from weld_inspection.simulation.surface import STRIP_HEIGHT, Surface

# Different ripples before their differences repeat.
_RIPPLES = 4096


@dataclass(frozen=True)
class BeadLine:
    """Where the bead lies at some columns of the strip; arrays of one value a column.

    Attributes:
        x: Strip columns.
        centre: Row of the bead's middle.
        upper: Row of its upper toe.
        lower: Row of its lower toe.
        half: Half of its width without the raggedness of the toes.
        rise: Height of its crown in pixels.
    """

    x: np.ndarray
    centre: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    half: np.ndarray
    rise: np.ndarray


def trace_bead(lattice: Lattice, look: Look, x: np.ndarray) -> BeadLine:
    """Centre, toes and crown of the bead.

    Args:
        lattice: The seam's noise.
        look: The seam's appearance.
        x: Strip columns in pixels, (N,).

    Returns:
        The bead at those columns.
    """
    line = lattice.line
    centre = STRIP_HEIGHT / 2 + 9 * line(1, x, 900) + look.weave * line(2, x, 210)
    wander = line(3, x, 400) + 0.4 * line(4, x, 90)
    half = look.half_width * (1 + look.width_wander * wander)
    toes = [half + 2.6 * line(layer, x, 26) + 1.2 * line(layer + 1, x, 7) for layer in (5, 7)]
    rise = look.rise * (1 + 0.3 * line(9, x, 700) + 0.12 * line(10, x, 120))
    rows = (centre, centre - toes[0], centre + toes[1], half, np.maximum(rise, 2.0))
    return BeadLine(x, *(row.astype(np.float32) for row in rows))


def bead_rows(look: Look) -> slice:
    """The rows within which the bead stays, wherever along the seam."""
    # The wanders are normal numbers: 3.5 deviations of all of them.
    reach = look.half_width * (1 + 2.7 * look.width_wander) + 2.5 * (9 + look.weave) + 24
    middle = STRIP_HEIGHT // 2
    return slice(max(middle - int(reach), 0), min(middle + int(reach), STRIP_HEIGHT))


def lay_bead(
    surface: Surface, lattice: Lattice, look: Look, bead: BeadLine, outside: np.ndarray, seed: int
) -> None:
    """Lays the bead on the plate.

    Args:
        surface: The plate with its tint, changed in place.
        lattice: The seam's noise.
        look: The seam's appearance.
        bead: Where the bead lies at the surface's columns.
        outside: Distance from the bead's toe in pixels, negative on the bead, (H, W) float32.
        seed: Seed of the differences between ripples.
    """
    rows = bead_rows(look)
    outside = outside[rows]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    shape = outside.shape
    steps = np.random.default_rng([seed, 30]).standard_normal((2, _RIPPLES), np.float32)

    def noise(layer: int, scale_x: int, scale_y: int) -> np.ndarray:
        return lattice.field(layer, surface.x0, shape[1], shape[0], scale_x, scale_y)

    # 0 in the middle of the bead, -1 and 1 at its toes.
    from_middle = y - bead.centre
    reach = np.where(from_middle < 0, bead.centre - bead.upper, bead.lower - bead.centre)
    u = from_middle / reach
    across = np.clip(1 - u * u, 0, 1)
    fade = np.clip(across * 2.6, 0, 1)
    dome = bead.rise * cv2.pow(across, 0.62)

    # The ripples' phase: evenly spaced along a seam whose length is stretched here and there,
    # led by the middle (the crescent), ragged by noise.
    pitch = np.float32(look.pitch)
    stretch = 0.9 * look.pitch * lattice.line(50, bead.x, 3.2 * look.pitch)
    along = (bead.x + stretch).astype(np.float32)
    v = from_middle / bead.half  # u without the raggedness of the toes
    lead = np.float32(look.crescent * look.half_width) * (1 - v * v - 0.12 * v)
    ragged = np.float32(look.ragged) * (noise(51, 52, 40) + 0.3 * noise(52, 14, 12))
    phase = (along - lead) / pitch + ragged
    number = np.floor(phase)
    part = phase - number
    ripple = number.astype(np.int32) % _RIPPLES
    # A ripple rises slowly and falls steeply, as the pool freezes in steps.
    fall = np.float32(0.72)
    wave = np.where(part < fall, part / fall, (1 - part) / (1 - fall))
    wave = wave * wave * (3 - 2 * wave)
    fine = np.sin(np.float32(2 * np.pi * 4.3) * phase + 2 * noise(53, 60, 24))
    ripples = look.ripple * ((1 + 0.35 * steps[0][ripple]) * wave + 0.09 * fine)
    lumps = look.lumps * (noise(54, 42, 30) + 0.45 * noise(55, 17, 13))
    texture = 0.55 * noise(56, 6, 5) + 0.3 * cv2.blur(noise(57, 1, 1), (3, 3))
    added = dome + fade * (ripples + lumps + texture)

    tone = 1 + 0.16 * (wave - 0.5) * fade + 0.08 * noise(58, 70, 30) + 0.04 * noise(59, 2, 2)
    tone *= np.minimum(1 - 2.2 * (np.abs(u) - 0.86), 1)
    # A breath of tint on the bead itself.
    hue = 0.5 + 0.28 * noise(60, 130, 50) + 0.1 * steps[1][ripple]
    index = np.clip(hue * 255, 0, 255).astype(np.uint8)
    film = 1 + 0.3 * look.tint_strength * (look.tint_colours - 0.75)
    metal = np.stack([cv2.LUT(index, np.ascontiguousarray(table)) for table in film.T])
    metal *= look.bead[:, None, None] * tone
    soft = np.clip(0.5 - outside, 0, 1)
    surface.cover(rows, soft, metal)
    gloss = surface.gloss[rows]
    gloss += soft * (look.gloss[1] * (0.85 + 0.15 * noise(61, 30, 18)) - gloss)
    if look.slag_cover > 0:
        islands = noise(62, 44, 26) + 0.5 * noise(63, 12, 9) + 1.3 * np.abs(u) ** 3
        cover = np.clip((islands - 2.0 + 2.4 * look.slag_cover) * 3.5, 0, 0.92)
        cover *= outside < 5
        surface.cover(rows, cover, look.slag[:, None, None] * (1 + 0.2 * noise(64, 3, 3)))
        gloss += cover * (0.9 - gloss) * 0.5
        added += 2.2 * cover
    surface.height[rows] += added
    # The fusion line: a narrow dark edge that comes and goes.
    edge = cv2.exp(-((outside / 3.2) ** 2)) * np.clip(0.55 + 0.4 * noise(65, 40, 200), 0, 1)
    surface.colour[:, rows] *= 1 - 0.62 * edge
