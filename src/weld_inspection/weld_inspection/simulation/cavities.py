"""Painted defects that are holes: pores, burn-through and cracks."""

import math

import cv2
import numpy as np

from weld_inspection.simulation.patch import Patch, at_least
from weld_inspection.simulation.seam import Seam


def paint_pores(seam: Seam, x: float, rng: np.random.Generator, cluster: bool) -> Patch:
    """Surface pores in the bead (ISO 6520-1: 2017), or a cluster of small ones (2013).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.
        cluster: Many small pores rather than a few large ones.

    Returns:
        The patch with its mask: the pores and the small metal in between.
    """
    bead = seam.bead_line(np.array([x]))
    centre, half = float(bead.centre[0]), float(bead.half[0])
    count = int(rng.integers(20, 46)) if cluster else int(rng.integers(2, 6))
    spread = np.array([rng.uniform(55, 120), rng.uniform(0.3, 0.45) * half])
    if not cluster:
        spread[0] *= 0.75
    radii = rng.uniform(4, 13, count) if cluster else rng.uniform(17, 36, count)
    radii = np.minimum(radii, 0.42 * half)
    spots = np.array([x, centre + rng.uniform(-0.25, 0.25) * half])
    spots = spots + spread * np.clip(rng.standard_normal((count, 2)), -1.8, 1.8)
    tone = rng.uniform(0.02, 0.1) * np.array([1, rng.uniform(1, 1.25), rng.uniform(1, 1.6)])
    rust = rng.random() < 0.3
    patch = Patch(*(spots.min(0) - 90), *(spots.max(0) + 90))
    patch.gloss = rng.uniform(0.15, 0.6)
    whole = patch
    for (px, py), radius in zip(spots, radii, strict=True):
        stretch, lean = rng.uniform(1, 1.35), rng.uniform(0, np.pi)
        patch = whole.part(px, py, 2.6 * radius + 8)
        dx, dy = patch.x - np.float32(px), patch.y - np.float32(py)
        cos, sin = math.cos(lean), math.sin(lean)
        a = (dx * cos + dy * sin) / stretch
        b = (dy * cos - dx * sin) * stretch
        wobble = 1 + 0.07 * np.sin(3 * np.arctan2(b, a) + rng.uniform(0, 6))
        distance = np.sqrt(a * a + b * b) * wobble
        pit = np.clip(1 - (distance / radius) ** 2, 0, 1)
        patch.keep *= 1 - 0.9 * np.clip((radius - distance) / 4, 0, 1)
        rim = np.exp(-(((distance - 1.12 * radius) / (0.2 * radius + 1)) ** 2))
        patch.raised += -0.75 * radius * np.sqrt(pit) + 0.12 * radius * rim
        patch.shade *= 1 - 0.3 * np.exp(-(((distance - radius) / (0.35 * radius + 2)) ** 2))
        if rust:
            patch.put(0.35 * np.exp(-((distance / (1.7 * radius)) ** 4)), (0.14, 0.26, 0.42))
        depth = np.clip((radius - distance) / 3, 0, 1) * (0.8 + 0.2 * np.sqrt(pit))
        patch.put(depth, tone)
        patch.mask |= (distance < 1.2 * radius + 4).view(np.uint8)
    whole.mask = at_least(whole.mask > 0, reach=14)
    return whole


def paint_burn_through(seam: Seam, x: float, rng: np.random.Generator) -> Patch:
    """A hole through the bead with a molten rim (ISO 6520-1: 510).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.

    Returns:
        The patch with its mask: hole and rim.
    """
    bead = seam.bead_line(np.array([x]))
    half = float(bead.half[0])
    y = float(bead.centre[0]) + rng.uniform(-0.35, 0.35) * half
    size = float(np.clip(rng.uniform(0.5, 0.95) * half, 50, 88))
    stretch = rng.uniform(1.0, 1.6)
    patch = Patch(
        x - 2.4 * size * stretch, y - 2.4 * size, x + 2.4 * size * stretch, y + 2.4 * size
    )
    a, b = (patch.x - np.float32(x)) / stretch, patch.y - np.float32(y)
    around = np.arctan2(b, a)
    outline = np.float32(1.0)
    for wave in (2, 3, 4, 6, 9, 13):
        outline = outline + rng.normal(0, 0.3 / wave) * np.sin(wave * around + rng.uniform(0, 6))
    d = (np.sqrt(a * a + b * b) / (size * outline)).astype(np.float32)
    sunk = np.exp(-((d / 1.5) ** 4))
    patch.keep = 1 - 0.6 * sunk
    rim = np.exp(-(((d - 1.13) / 0.11) ** 2))
    patch.raised = rng.uniform(5, 12) * rim - 10 * np.clip((1.02 - d) / 0.05, 0, 1)
    patch.shade = 1 - rng.uniform(0.3, 0.6) * np.exp(-((np.maximum(d - 1, 0) / 0.7) ** 2))
    patch.put(0.55 * rim, np.array([0.5, 0.48, 0.47]) * rng.uniform(0.5, 1.2))
    wall = np.clip((1.02 - d) / 0.06, 0, 1)
    patch.put(wall, np.array([0.12, 0.14, 0.17]) * rng.uniform(0.5, 1.2))
    patch.put(np.clip((0.9 - d) / 0.1, 0, 1), (0.018, 0.016, 0.016))
    if rng.random() < 0.35:  # light from behind, or a lip that sagged into the hole
        lip = np.exp(-(((d - 0.72) / 0.1) ** 2)) * np.clip(np.sin(around + rng.uniform(0, 6)), 0, 1)
        patch.put(0.6 * lip, (0.3, 0.34, 0.38))
    patch.gloss = 0.35
    patch.mask = at_least(d < 1.24, reach=3)
    return patch


def paint_crack(seam: Seam, x: float, rng: np.random.Generator, transverse: bool) -> Patch:
    """A crack along the bead (ISO 6520-1: 101), or some across it (102).

    Args:
        seam: The seam that the defect is in.
        x: Strip column of its middle.
        rng: Source of its shape, scale and colour.
        transverse: Across the bead rather than along it.

    Returns:
        The patch with its mask: a band around each crack, as a brush would paint it.
    """
    bead = seam.bead_line(np.array([x]))
    half = float(bead.half[0])
    paths: list[np.ndarray] = []
    if transverse:
        count = int(np.ceil(rng.uniform(2.2, 4.0) * 90 / half))
        for place in x + rng.uniform(26, 60) * (np.arange(count) - (count - 1) / 2):
            y = np.arange(-1, 1, 0.05) * half * rng.uniform(0.8, 1.15)
            column = place + rng.normal(0, 6) + _jagged(rng, len(y), 3.0) + rng.normal(0, 0.15) * y
            paths.append(np.stack([column, float(bead.centre[0]) + y], axis=1))
    else:
        columns = np.arange(0, rng.uniform(380, 720), 6.0)
        columns += x - columns.mean()
        line = seam.bead_line(columns)
        lie = rng.uniform(-0.3, 0.3) if rng.random() < 0.65 else rng.choice([-0.93, 0.93])
        rows = line.centre + lie * line.half + _jagged(rng, len(columns), 2.4)
        paths.append(np.stack([columns, rows], axis=1))
        for _ in range(rng.integers(0, 4)):  # branches
            root = paths[0][rng.integers(4, len(columns) - 4)]
            steps = np.arange(0, rng.uniform(30, 80), 5.0)
            lean = rng.uniform(0.3, 0.9) * rng.choice([-1, 1])
            side = np.stack([steps * np.cos(lean), steps * np.sin(lean)], axis=1)
            side[:, 1] += _jagged(rng, len(steps), 1.5)
            paths.append(root + side)
    points = np.concatenate(paths)
    patch = Patch(*(points.min(0) - 50), *(points.max(0) + 50))
    lines = np.full(patch.mask.shape, 255, np.uint8)
    for path in paths:
        corners = np.rint((path - (patch.x0, patch.y0)) * 8).astype(np.int32)
        cv2.polylines(lines, [corners], False, 0, 1, cv2.LINE_8, shift=3)
    distance = cv2.distanceTransform(lines, cv2.DIST_L2, 5)
    grain = seam.lattice.field(90, patch.x0, patch.mask.shape[1], patch.mask.shape[0], 18, 14)
    ends = np.clip((points[:, 0].max() + 8 - patch.x) / 90, 0.35, 1)
    ends = ends * np.clip((patch.x - points[:, 0].min() + 8) / 90, 0.35, 1)
    width = rng.uniform(2.2, 5.0) * np.maximum(0.75 + 0.5 * grain, 0.3) * ends
    patch.raised = -7 * np.exp(-((distance / (width + 1)) ** 2)) + np.exp(
        -(((distance - 8) / 5) ** 2)
    )
    patch.shade = 1 - rng.uniform(0.25, 0.5) * np.exp(-((distance / 10) ** 2))
    if rng.random() < 0.35:  # rust creeps out of an old crack
        patch.put(0.4 * np.exp(-((distance / 9) ** 2)), (0.15, 0.26, 0.4))
    patch.put(np.clip(width - distance + 0.6, 0, 1) * 0.95, (0.03, 0.03, 0.035))
    patch.gloss = 0.1
    patch.mask = at_least(distance < rng.uniform(11, 17), reach=10)
    return patch


def _jagged(rng: np.random.Generator, count: int, step: float) -> np.ndarray:
    """A random walk that returns to 0 at its middle, in pixels, (count,)."""
    walk = np.cumsum(rng.normal(0, step, count))
    return walk - walk[count // 2]
