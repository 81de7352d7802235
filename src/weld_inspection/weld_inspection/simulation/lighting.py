"""From a painted surface to a picture."""

import cv2
import numpy as np

from weld_inspection.simulation.look import SPHERE, Look
from weld_inspection.simulation.surface import Surface


def light(surface: Surface, look: Look) -> np.ndarray:
    """Renders a surface under the shop's lamps.

    Args:
        surface: The painted surface.
        look: Gives the reflections.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    height = cv2.GaussianBlur(surface.height, (3, 3), 0.8)
    nx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=-1 / 8)
    ny = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=-1 / 8)
    steep = 1 / np.sqrt(1 + nx * nx + ny * ny)
    middle = SPHERE // 2
    mirrored = cv2.remap(
        look.sphere,
        nx * steep * np.float32(middle) + middle,
        ny * steep * np.float32(middle) + middle,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # Matt light: the lamp is above the camera, so that slopes facing down are a little darker.
    matt = steep * (1 - 0.25 * ny - 0.1 * nx)
    # Hollows see less of the light.
    hollow = cv2.blur(height, (31, 31)) + 0.7 * cv2.blur(height, (9, 9)) - 1.7 * height
    open_sky = np.clip(1 - 0.03 * hollow, 0.15, 1.12)
    shade = (matt + surface.gloss * (mirrored - matt)) * open_sky
    bright = np.maximum(mirrored - 1.25, 0) * surface.gloss * np.float32(0.3)
    # A soft shoulder instead of hard clipping, as a camera's tone curve.
    level = np.linspace(0, 1, 1024)
    level = 3 * level
    curve = np.where(level > 0.7, 0.7 + 0.3 * np.tanh((level - 0.7) / 0.3), level)
    curve = np.rint(curve * 255).astype(np.uint8)
    planes = []
    for plane in surface.colour:
        index = np.clip((plane * shade + bright) * np.float32(1023 / 3), 0, 1023)
        planes.append(curve[index.astype(np.uint16)])
    return cv2.merge(planes)
