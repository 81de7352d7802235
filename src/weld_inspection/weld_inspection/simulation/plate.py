"""The plate beside the bead: rolled steel, mill scale, rust, heat tint and soot."""

import cv2
import numpy as np

from weld_inspection.simulation.lattice import Lattice
from weld_inspection.simulation.look import Look
from weld_inspection.simulation.surface import STRIP_HEIGHT, Surface

_ALL = slice(None)


def lay_plate(lattice: Lattice, look: Look, x0: int, width: int) -> Surface:
    """The bare plate of a window over the strip's whole height.

    Args:
        lattice: The seam's noise.
        look: The seam's appearance.
        x0: Left strip column.
        width: Width in pixels.

    Returns:
        The plate, with an empty mask.
    """

    def noise(layer: int, scale_x: int, scale_y: int) -> np.ndarray:
        return lattice.field(layer, x0, width, STRIP_HEIGHT, scale_x, scale_y)

    height = 16 * noise(20, 640, 320) + 1.5 * noise(21, 120, 80)
    speckle = noise(22, 1, 1)
    rolled = noise(23, 160, 1) + 0.7 * noise(24, 40, 2)
    cloud = noise(25, 90, 60) + 0.5 * noise(26, 24, 18)
    grain = cv2.blur(speckle, (3, 3))
    height += 0.16 * look.brushed * rolled + (0.1 + 0.25 * look.grain) * grain
    tone = 1 + 0.035 * look.brushed * rolled + 0.07 * cloud
    tone += 0.05 * look.grain * speckle
    gloss = look.gloss[0] + 0.06 * look.brushed * rolled
    mask = np.zeros(tone.shape, np.uint8)
    surface = Surface(x0, height, look.plate[:, None, None] * tone, gloss, mask)
    if look.scale_cover > 0:  # mill scale: dark, dull, with worn patches
        wear = cloud + 0.6 * noise(27, 220, 140) + 0.25 * noise(28, 6, 5)
        cover = np.clip(0.5 + (wear + 2.2 * look.scale_cover - 1.3) * 0.6, 0, 1)
        dark = np.array([0.31, 0.29, 0.28], np.float32)[:, None, None] * (1 + 0.12 * grain)
        surface.cover(_ALL, cover, dark)
        surface.gloss *= 1 - 0.6 * cover
        surface.height += cover
    if look.rust > 0:
        patch = noise(29, 170, 120) + 0.5 * noise(30, 30, 26) + 0.45 * noise(31, 6, 5)
        cover = np.clip((patch + 1.6 * look.rust - 1.2) * 0.8, 0, 0.8)
        tone = 1 + 0.25 * noise(32, 9, 8) + 0.12 * speckle
        surface.cover(_ALL, cover, np.array([0.2, 0.29, 0.4], np.float32)[:, None, None] * tone)
        surface.gloss *= 1 - 0.8 * cover
        surface.height += 0.5 * cover * noise(33, 4, 4)
    return surface


def paint_tint(
    surface: Surface, lattice: Lattice, look: Look, outside: np.ndarray, above: np.ndarray
) -> None:
    """Heat tint and soot beside the bead.

    Args:
        surface: The plate, changed in place.
        lattice: The seam's noise.
        look: The seam's appearance.
        outside: Distance from the bead's toe in pixels, negative on the bead, (H, W) float32.
        above: Whether a pixel lies above the bead's middle, (H, W) bool.
    """
    width = outside.shape[1]
    x = np.arange(surface.x0, surface.x0 + width)

    def noise(layer: int, scale_x: int, scale_y: int) -> np.ndarray:
        return lattice.field(layer, surface.x0, width, STRIP_HEIGHT, scale_x, scale_y)

    reach = [look.tint * (1 + 0.16 * lattice.line(layer, x, 500)) for layer in (40, 41)]
    distance = np.maximum(outside, 0)
    place = distance / np.where(above, reach[0], reach[1])
    place += 0.05 * noise(42, 110, 30) + 0.012 * noise(43, 8, 4)
    index = np.clip(place * 255, 0, 255).astype(np.uint8)
    strength = np.clip(1 - 0.15 * place, 0, 1) * np.float32(look.tint_strength)
    for plane, table in zip(surface.colour, look.tint_colours.T, strict=True):
        film = cv2.LUT(index, np.ascontiguousarray(table - 1))
        plane *= 1 + strength * film
    if look.soot > 0:
        cloud = 0.75 + 0.35 * noise(44, 180, 40) + 0.21 * noise(45, 20, 14)
        fall = cv2.exp(distance * np.float32(-1 / (0.3 * look.tint)))
        soot = np.clip(np.float32(look.soot) * fall * cloud, 0, 0.85)
        for plane, share in zip(surface.colour, (0.84, 0.82, 0.78), strict=True):
            plane *= 1 - share * soot
        surface.gloss *= 1 - 0.6 * soot
