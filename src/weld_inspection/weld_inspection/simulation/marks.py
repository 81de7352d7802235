"""Sound but odd things on plate and bead: they draw the eye and are no defects."""

from collections.abc import Callable, Iterator

import numpy as np

from weld_inspection.simulation.patch import Patch
from weld_inspection.simulation.seam import Seam
from weld_inspection.simulation.surface import STRIP_HEIGHT

# Marks are drawn by blocks of the strip; none reaches further than _REACH from its place.
_BLOCK = 640
_REACH = 420


def marks(seam: Seam, seed: int, x0: int, width: int) -> Iterator[Patch]:
    """The marks that touch a window of the strip, in the order in which they lie.

    Args:
        seam: The seam that they are on.
        seed: Any non-negative integer.
        x0: Left strip column of the window.
        width: Width of the window in pixels.

    Yields:
        One patch for each mark, with an empty mask.
    """
    amount = seam.look.marks
    kinds: tuple[tuple[Callable[..., Patch], float], ...] = (
        (_grinding, 0.10 * amount),
        (_stain, 0.22 * amount),
        (_scratch, 2.2 * amount),
        (_chalk, 0.12 * amount),
        (_restart, 0.10),
        (_tack, 0.06),
        (_droplet, 4.0 * amount),
    )
    first, last = (x0 - _REACH) // _BLOCK, (x0 + width + _REACH) // _BLOCK
    for block in range(first, last + 1):
        key = 2 * block if block >= 0 else -2 * block - 1
        rng = np.random.default_rng([seed, 50, key])
        for make, mean in kinds:
            for _ in range(rng.poisson(mean)):
                x = float((block + rng.random()) * _BLOCK)
                # Every mark draws from its own numbers, so that one that is left out because it
                # lies outside the window does not change those after it.
                own = np.random.default_rng(rng.integers(2**32))
                if x0 - _REACH <= x <= x0 + width + _REACH:
                    yield make(seam, x, own)


def _beside(seam: Seam, x: float, rng: np.random.Generator, nearest: float) -> float:
    """A row on the plate, at least so many pixels from the bead."""
    bead = seam.bead_line(np.array([x]))
    if rng.random() < 0.5:
        return float(rng.uniform(60, max(61.0, float(bead.upper[0]) - nearest)))
    low = min(float(bead.lower[0]) + nearest, STRIP_HEIGHT - 61.0)
    return float(rng.uniform(low, STRIP_HEIGHT - 60))


def _turned(patch: Patch, x: float, y: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a patch's pixels along and across a direction from (x, y)."""
    dx, dy = patch.x - np.float32(x), patch.y - np.float32(y)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return dx * cos + dy * sin, dy * cos - dx * sin


def _around(x: float, y: float, length: float, angle: float, margin: float) -> Patch:
    """A patch around a line of a length through (x, y)."""
    half_x = abs(np.cos(angle)) * length / 2 + margin
    half_y = abs(np.sin(angle)) * length / 2 + margin
    return Patch(x - half_x, y - half_y, x + half_x, y + half_y)


def _scratch(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A thin bright or dark line on the plate."""
    y, angle = _beside(seam, x, rng, 20), rng.uniform(0, np.pi)
    length = rng.uniform(40, 420)
    y = float(np.clip(y, 20, STRIP_HEIGHT - 20))
    patch = _around(x, y, length, angle, 6)
    along, across = _turned(patch, x, y, angle)
    bend = rng.normal(0, 0.00025)
    width = rng.uniform(0.6, 2.2) * np.clip(1 - (2 * along / length) ** 2, 0, 1)
    line = np.exp(-(((across - bend * along**2) / (width + 0.05)) ** 2)) * (width > 0)
    bead = seam.bead_line(patch.x[0])
    line = line * ((patch.y < bead.upper - 2) | (patch.y > bead.lower + 2))
    if rng.random() < 0.6:
        patch.put(rng.uniform(0.3, 0.8) * line, np.array([0.75, 0.78, 0.8]))
    else:
        patch.shade = (1 - rng.uniform(0.3, 0.7) * line).astype(np.float32)
    patch.raised = (-1.2 * line).astype(np.float32)
    patch.gloss = 0.8
    return patch


def _chalk(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """An inspector's or a welder's stroke of chalk across the plate."""
    y = _beside(seam, x, rng, 40)
    length, width = rng.uniform(140, 420), rng.uniform(14, 38)
    angle = np.pi / 2 + rng.normal(0, 0.25)
    patch = _around(x, y, length, angle, width)
    along, across = _turned(patch, x, y, angle)
    across = across + 8 * np.sin(along / 90 + rng.uniform(0, 6))
    shape = patch.mask.shape
    grain = seam.lattice.field(70, patch.x0, shape[1], shape[0], 2, 3)
    streak = seam.lattice.field(71, patch.x0, shape[1], shape[0], 4, 90)
    body = np.clip((1 - np.abs(2 * across / width)) * 4, 0, 1)
    body = body * np.clip((1 - np.abs(2 * along / length)) * 12, 0, 1)
    colours = np.array([[0.86, 0.86, 0.85], [0.86, 0.72, 0.45], [0.5, 0.8, 0.88], [0.6, 0.6, 0.9]])
    colour = colours[rng.choice(4, p=[0.5, 0.25, 0.15, 0.1])]
    patch.put(body * np.clip(0.55 + 0.35 * grain + 0.25 * streak, 0, 0.95), colour)
    patch.gloss = 0.05
    return patch


def _grinding(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """Bright arcs of a grinding disc."""
    y = _beside(seam, x, rng, 30)
    size = rng.uniform(90, 240)
    patch = Patch(x - size * 1.4, y - size * 0.8, x + size * 1.4, y + size * 0.8)
    along, across = _turned(patch, x, y, rng.uniform(0, np.pi))
    disc = rng.uniform(400, 900)
    ring = np.sqrt((along + disc) ** 2 + across**2)
    rough = sum(
        np.sin(ring / rng.uniform(1.1, 3.2) + rng.uniform(0, 6) + across * rng.normal(0, 0.004))
        for _ in range(4)
    )
    shape = patch.mask.shape
    fade = 0.8 + 0.5 * seam.lattice.field(72, patch.x0, shape[1], shape[0], 50, 30)
    reach = (patch.x - np.float32(x)) ** 2 / 1.8 + (patch.y - np.float32(y)) ** 2
    area = np.clip(1.2 * np.exp(-reach / (0.45 * size) ** 2) * fade, 0, 1)
    bead = seam.bead_line(patch.x[0])
    area = area * ((patch.y < bead.upper) | (patch.y > bead.lower))
    tone = (0.62 + 0.07 * rough)[..., None] * np.array([1.0, 1.0, 1.0])
    patch.put(0.6 * area, tone)
    patch.raised = (0.35 * rough * area).astype(np.float32)
    patch.gloss = 0.7
    return patch


def _stain(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A smudge of oil, dirt or water on the plate."""
    y = _beside(seam, x, rng, 30)
    size = rng.uniform(40, 150)
    patch = Patch(x - 2 * size, y - 1.6 * size, x + 2 * size, y + 1.6 * size)
    shape = patch.mask.shape
    rough = seam.lattice.field(73, patch.x0, shape[1], shape[0], 34, 26)
    rough += 0.4 * seam.lattice.field(74, patch.x0, shape[1], shape[0], 9, 8)
    along, across = _turned(patch, x, y, rng.uniform(0, np.pi))
    d = np.sqrt((along / 1.4) ** 2 + across**2) / size * (1 + 0.22 * rough)
    blot = np.clip((1 - d) * rng.uniform(1.2, 5), 0, 1)
    edge = np.exp(-(((d - 0.95) / 0.06) ** 2)) * rng.uniform(0, 0.4)
    dark = np.array([0.2, 0.24, 0.29]) * rng.uniform(0.6, 1.6)
    patch.put(rng.uniform(0.15, 0.5) * blot + edge, dark)
    return patch


def _restart(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """Where the welder stopped and began again: a round crater edge and a swollen bead."""
    bead = seam.bead_line(np.array([x]))
    half, centre = float(bead.half[0]), float(bead.centre[0])
    patch = Patch(x - 2 * half, centre - 1.3 * half, x + 2 * half, centre + 1.3 * half)
    dx = (patch.x - np.float32(x)) / half
    v = (patch.y - np.float32(centre)) / half
    d = np.sqrt(dx * dx + v * v)
    inside = np.clip((1.0 - np.abs(v)) * 8, 0, 1)
    swell = np.exp(-((d / 0.9) ** 4))
    rings = np.cos(d * half / seam.look.pitch * 2 * np.pi) * np.exp(-((d / 0.75) ** 4))
    front = np.exp(-(((d - 0.85) / 0.07) ** 2)) * (dx > -0.2)
    patch.keep = (1 - 0.5 * swell * inside).astype(np.float32)
    rise = float(bead.rise[0])
    patch.raised = (inside * (rise * 0.6 * swell + 1.5 * rings + 2.5 * front)).astype(np.float32)
    patch.shade = (1 - 0.15 * inside * swell).astype(np.float32)
    return patch


def _tack(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A tack weld that the bead ran over: a swelling, a little wider than the bead."""
    bead = seam.bead_line(np.array([x]))
    half, centre = float(bead.half[0]), float(bead.centre[0])
    long, wide = rng.uniform(1.0, 1.6) * half, rng.uniform(1.08, 1.25) * half
    patch = Patch(x - 1.2 * long, centre - 1.2 * wide, x + 1.2 * long, centre + 1.2 * wide)
    d = ((patch.x - np.float32(x)) / long) ** 2 + ((patch.y - np.float32(centre)) / wide) ** 2
    body = np.clip(1 - d, 0, 1)
    on = np.clip((1 - d) * 8, 0, 1).astype(np.float32)
    bead = seam.bead_line(patch.x[0])
    outside = on * ((patch.y < bead.upper) | (patch.y > bead.lower))
    shape = patch.mask.shape
    grain = seam.lattice.field(75, patch.x0, shape[1], shape[0], 14, 10)
    patch.keep = 1 - 0.2 * on
    patch.raised = (0.5 * seam.look.rise * np.sqrt(body) + 0.8 * grain * on).astype(np.float32)
    patch.put(0.9 * outside, (1 + 0.1 * grain)[..., None] * seam.look.bead * 0.9)
    patch.gloss = seam.look.gloss[1]
    return patch


def _droplet(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A single tiny spatter bead, or the streak that one left."""
    y, radius = _beside(seam, x, rng, 12), rng.uniform(1.8, 6.0)
    stretch = rng.uniform(3, 8) if rng.random() < 0.25 else rng.uniform(1, 1.4)
    radius /= np.sqrt(stretch)
    angle = rng.uniform(0, np.pi)
    patch = _around(x, y, 2 * radius * stretch, angle, radius + 4)
    along, across = _turned(patch, x, y, angle)
    d = np.sqrt((along / stretch) ** 2 + across**2) / radius
    on = np.clip((1 - d) * radius / 1.5, 0, 1).astype(np.float32)
    patch.raised = (0.8 * radius * np.sqrt(np.clip(1 - d * d, 0, 1))).astype(np.float32)
    patch.shade = (1 - 0.4 * np.exp(-((np.maximum(d - 1, 0) * radius / 1.5) ** 2))).astype(
        np.float32
    )
    patch.put(0.9 * on, seam.look.bead * rng.uniform(0.35, 1.1))
    patch.gloss = 0.9
    return patch
