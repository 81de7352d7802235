"""Still photographs of weld seams with their defect masks, as a folder of files."""

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from weld_inspection.camera.image_files import read_image
from weld_inspection.camera.source import CameraError
from weld_inspection.training.clip_metadata import MASK_VALUES, ClipError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
MIN_WIDTH, MIN_HEIGHT = 320, 180
"""A quarter of the camera's frame: less holds nothing to travel over."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph and its mask.

    Attributes:
        path: The image file, `FOLDER/images/NAME.jpg`.
        mask_path: The mask file, `FOLDER/masks/NAME.png`.
    """

    path: Path
    mask_path: Path

    @property
    def name(self) -> str:
        """File name of the image."""
        return self.path.name

    def digest(self) -> str:
        """Returns the SHA-256 of image and mask, as files.

        Raises:
            ClipError: One cannot be read.
        """
        try:
            content = self.path.read_bytes() + self.mask_path.read_bytes()
        except OSError as error:
            raise ClipError(f"cannot read {error.filename}: {error.strerror}") from error
        return hashlib.sha256(content).hexdigest()

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads image (H, W, 3) uint8 BGR and mask (H, W) uint8, 0 or 255.

        Raises:
            ClipError: A file cannot be read, is too small, the sizes differ, or the mask is in
                colours or class numbers, or not of 8 bits.
        """
        try:
            image, mask = read_image(self.path), read_image(self.mask_path, any_depth=True)
        except CameraError as error:
            raise ClipError(str(error)) from error
        if mask.shape != image.shape:
            raise ClipError(
                f"{self.mask_path} is {mask.shape[1]}x{mask.shape[0]}, "
                f"its photograph {image.shape[1]}x{image.shape[0]}"
            )
        if image.shape[1] < MIN_WIDTH or image.shape[0] < MIN_HEIGHT:
            raise ClipError(
                f"{self.path} is {image.shape[1]}x{image.shape[0]}: "
                f"a photograph needs at least {MIN_WIDTH}x{MIN_HEIGHT}"
            )
        if mask.dtype != np.uint8:
            raise ClipError(f"{self.mask_path} is not of 8 bits: {MASK_VALUES}; convert it")
        gray = mask[..., 0]
        if (mask != gray[..., None]).any():
            raise ClipError(f"{self.mask_path} is in colours: {MASK_VALUES}; convert it")
        if 0 < gray.max() < 128:
            raise ClipError(
                f"{self.mask_path} has no value above {gray.max()}: {MASK_VALUES}; convert it"
            )
        return image, np.where(gray >= 128, 255, 0).astype(np.uint8)


def find_photographs(folder: Path | str) -> list[Photograph]:
    """Finds all photographs of a folder, sorted by name.

    Args:
        folder: Holds `images/NAME.jpg` (or .jpeg, .png) and `masks/NAME.png`.

    Raises:
        ClipError: A folder is missing or empty, or a photograph has no mask or shares it.
    """
    root = Path(folder)
    images, masks = root / "images", root / "masks"
    for path in (images, masks):
        if not path.is_dir():
            raise ClipError(f"no such folder: {path}; photographs are read from images/ and masks/")
    files = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
    if not files:
        raise ClipError(f"{images} holds no photographs ({', '.join(IMAGE_ENDINGS)})")
    for one, other in pairwise(sorted(files, key=lambda path: path.stem)):
        if one.stem == other.stem:
            raise ClipError(f"{one} and {other} would share a mask and clips: rename one of them")
    photographs = [Photograph(path, masks / (path.stem + ".png")) for path in files]
    for photograph in photographs:
        if not photograph.mask_path.is_file():
            raise ClipError(f"{photograph.path} has no mask: {photograph.mask_path} is missing")
    return photographs
