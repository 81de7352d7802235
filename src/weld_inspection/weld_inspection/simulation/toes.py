"""Painted defects along the bead: undercut, overlap, lack of fill; and spatter beside it."""

import cv2
import numpy as np

from weld_inspection.simulation.patch import Patch, at_least
from weld_inspection.simulation.seam import Seam


def paint_undercut(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A groove melted into the plate along a toe of the bead (ISO 6520-1: 501).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.

    Returns:
        The patch with its mask: the groove.
    """
    side = rng.choice([-1, 1])
    patch, outside, along = _along_toe(seam, x, rng.uniform(300, 720), side, reach=90)
    rough = seam.lattice.line(91, patch.x, 60) + 0.5 * seam.lattice.line(92, patch.x, 14)
    envelope = np.clip(1 - along**4, 0, 1) ** 0.5 * np.clip(0.9 + 0.25 * rough, 0.4, 1.4)
    width = rng.uniform(18, 38) * envelope + 1
    q = outside / width
    groove = np.exp(-(((q - 0.4) / 0.5) ** 2)) * envelope
    patch.raised = (-rng.uniform(10, 22) * groove).astype(np.float32)
    patch.raised += 2.5 * np.exp(-(((q - 1.25) / 0.2) ** 2)) * envelope
    patch.shade = (1 - rng.uniform(0.35, 0.7) * groove).astype(np.float32)
    patch.put(rng.uniform(0.3, 0.7) * groove, np.array([0.1, 0.1, 0.11]) * rng.uniform(0.5, 1.8))
    patch.gloss = rng.uniform(0.2, 0.6)
    patch.mask = at_least((envelope > 0.3) & (q > -0.45) & (q < 1.2), reach=6)
    return patch


def paint_overlap(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """Bead metal that rolled over the plate without fusing to it (ISO 6520-1: 506).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.

    Returns:
        The patch with its mask: the lobe and its dark edge.
    """
    side = rng.choice([-1, 1])
    patch, outside, along = _along_toe(seam, x, rng.uniform(240, 600), side, reach=150)
    lobes = (
        1 + 0.24 * seam.lattice.line(93, patch.x, 80) + 0.06 * seam.lattice.line(94, patch.x, 22)
    )
    envelope = np.clip(1 - along**2, 0, 1) ** 0.4 * lobes
    extent = np.maximum(rng.uniform(36, 84) * envelope, 1)
    q = outside / extent
    body = np.clip(1 - q * q, 0, 1)
    thick = np.minimum(rng.uniform(14, 28), 0.5 * extent)
    on = ((q > -0.75) & (q < 1) & (along**2 < 1)).astype(np.float32)
    soft = cv2.blur(on, (5, 5))
    patch.keep = (1 - 0.55 * soft).astype(np.float32)
    shape = patch.mask.shape
    grain = seam.lattice.field(95, patch.x0, shape[1], shape[0], 26, 20)
    fine = seam.lattice.field(89, patch.x0, shape[1], shape[0], 6, 5)
    patch.raised = (soft * (thick * np.power(body, 0.45) + 1.5 * grain + 0.8 * fine)).astype(
        np.float32
    )
    tone = (1 + 0.1 * grain + 0.06 * fine)[..., None] * seam.look.bead * rng.uniform(0.7, 1.05)
    patch.put(0.9 * soft, tone)
    shadow = np.exp(-(((outside - extent - 2.5) / 3.5) ** 2)) * (along**2 < 1)
    patch.put(0.85 * shadow, (0.03, 0.03, 0.03))
    patch.gloss = 0.75 * seam.look.gloss[1]
    patch.mask = at_least((on > 0) | (shadow > 0.3), reach=6)
    return patch


def paint_lack_of_fill(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A stretch where the groove is not filled (ISO 6520-1: 511).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.

    Returns:
        The patch with its mask: the open groove.
    """
    length = rng.uniform(170, 430)
    columns = np.arange(x - length / 2 - 40, x + length / 2 + 40)
    line = seam.bead_line(columns)
    patch = Patch(columns[0], line.upper.min() - 20, columns[-1] + 1, line.lower.max() + 20)
    line = seam.bead_line(patch.x[0])
    u = (patch.y - line.centre) / line.half
    lean = rng.choice([-0.25, 0.0, 0.25])  # the middle, or more on one side
    broad = rng.uniform(0.6, 0.95) if lean == 0 else rng.uniform(0.5, 0.7)
    rough = 0.1 * seam.lattice.line(96, patch.x, 35)
    shape = patch.mask.shape
    grain = seam.lattice.field(97, patch.x0, shape[1], shape[0], 9, 7)
    fine = seam.lattice.field(98, patch.x0, shape[1], shape[0], 60, 2)
    v = (u - lean) / (broad * (1 + rough))
    radius = np.abs((patch.x - np.float32(x)) / (length / 2)) ** 4 + np.abs(v) ** 2.5
    radius += 0.08 * grain
    hole = np.clip((1.06 - radius) / 0.34, 0, 1) ** 0.8
    patch.keep = 1 - hole
    patch.raised = hole * (-rng.uniform(12, 26) * np.clip(1 - np.abs(v), 0, 1) - 4 + 0.6 * grain)
    tone = rng.uniform(0.12, 0.34) * np.array([1.0, 1.0, rng.uniform(1.0, 1.2)])
    wall = (0.7 + 0.9 * np.abs(v) + 0.2 * fine + 0.16 * grain)[..., None] * tone
    patch.put(0.93 * hole, wall)
    root = np.exp(-(((v + 0.06 * rough) / 0.07) ** 2)) * hole
    patch.put(0.9 * root, (0.02, 0.02, 0.02))
    patch.shade = (1 - 0.2 * np.exp(-(((radius - 1.05) / 0.15) ** 2))).astype(np.float32)
    patch.gloss = rng.uniform(0.2, 0.6)
    patch.mask = at_least(radius < 1.06, reach=4)
    return patch


def paint_spatter(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """Drops of metal stuck to the plate beside the bead (ISO 6520-1: 602).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.

    Returns:
        The patch with its mask: the drops, near ones joined.
    """
    bead = seam.bead_line(np.array([x]))
    side = rng.choice([-1, 1])
    toe = float(bead.upper[0] if side < 0 else bead.lower[0])
    radii = [rng.uniform(11, 32)]
    while sum(3.6 * r * r for r in radii) < rng.uniform(9500, 22000):
        radii.append(rng.uniform(9, 32))
    count = len(radii)
    spots = np.empty((count, 2))
    spots[:, 0] = x + rng.normal(0, 75, count).clip(-150, 150)
    spots[:, 1] = toe + side * (20 + np.abs(rng.normal(0, 60, count))).clip(0, 170)
    patch = Patch(*(spots.min(0) - 70), *(spots.max(0) + 70))
    metal = seam.look.bead * rng.uniform(0.5, 1.05)
    if rng.random() < 0.3:
        metal = np.array([0.16, 0.2, 0.26]) * rng.uniform(0.6, 1.3)
    shape = patch.mask.shape
    grain = seam.lattice.field(99, patch.x0, shape[1], shape[0], 7, 6)
    whole, rough = patch, grain
    for (px, py), radius in zip(spots, radii, strict=True):
        stretch, lean = rng.uniform(1, 1.5), rng.uniform(0, np.pi)
        patch = whole.part(px, py, 2.0 * radius + 6)
        grain = rough[patch.y0 - whole.y0 :, patch.x0 - whole.x0 :]
        grain = grain[: patch.y.size, : patch.x.size]
        dx, dy = patch.x - np.float32(px), patch.y - np.float32(py)
        a = (dx * np.cos(lean) + dy * np.sin(lean)) / np.sqrt(stretch)
        b = (dy * np.cos(lean) - dx * np.sin(lean)) * np.sqrt(stretch)
        wobble = 1 + 0.05 * np.sin(3 * np.arctan2(b, a) + rng.uniform(0, 6))
        distance = np.sqrt(a * a + b * b) * wobble
        ball = np.clip(1 - (distance / radius) ** 2, 0, 1)
        on = np.clip((radius - distance) / 2, 0, 1)
        patch.shade *= 1 - 0.55 * np.exp(
            -((np.maximum(distance - radius, 0) / (0.2 * radius)) ** 2)
        )
        patch.keep *= 1 - on
        dome = rng.uniform(0.35, 0.7) * radius * np.sqrt(ball) + 0.9 * grain * on
        np.maximum(patch.raised, dome, out=patch.raised)
        tone = rng.uniform(0.7, 1.15) * (1 + 0.16 * grain - 0.35 * (1 - ball))
        patch.put(on, tone[..., None] * metal)
        patch.mask |= (distance < 1.08 * radius + 3).view(np.uint8)
    whole.gloss = rng.uniform(0.4, 0.9)
    whole.mask = at_least(whole.mask > 0, reach=9)
    return whole


def _along_toe(
    seam: Seam, x: float, length: float, side: int, reach: float
) -> tuple[Patch, np.ndarray, np.ndarray]:
    """A patch along a toe; the distance outside the toe (H, W) and -1..1 along it (1, W)."""
    columns = np.arange(x - length / 2 - 12, x + length / 2 + 12)
    line = seam.bead_line(columns)
    toe = line.upper if side < 0 else line.lower
    patch = Patch(columns[0], toe.min() - reach, columns[-1] + 1, toe.max() + reach)
    line = seam.bead_line(patch.x[0])
    toe = line.upper if side < 0 else line.lower
    # The groove's own raggedness is smoother than the toe's.
    toe = cv2.blur(toe[None, :], (9, 1), borderType=cv2.BORDER_REPLICATE)
    outside = side * (patch.y - toe)
    along = (patch.x - np.float32(x)) / np.float32(length / 2)
    return patch, outside, along
