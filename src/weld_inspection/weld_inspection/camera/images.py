"""A folder of pictures as a recording."""

import re
from pathlib import Path

from weld_inspection.camera.image_files import read_image
from weld_inspection.camera.recording import RecordedImage, Recording
from weld_inspection.camera.source import CameraError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
DEFAULT_FRAME_RATE = 20.0  # Hz, the paper's camera


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Returns a key that sorts frame_9 before frame_10."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", name)
        if part
    ]


class ImageFolder(Recording):
    """The pictures of a folder in natural order of their names; other files are left alone.

    Pictures may differ in size: each is delivered as it is. Grey and 16-bit ones become BGR of
    8 bits, as OpenCV reads them.
    """

    def __init__(self, path: Path) -> None:
        """Lists the folder and reads its first picture.

        Args:
            path: The folder.

        Raises:
            CameraError: There is no such folder, no picture in it, or the first is unreadable.
        """
        self.name = str(path)
        self.frame_rate = DEFAULT_FRAME_RATE
        if not path.is_dir():
            what = "is not a folder" if path.exists() else "does not exist"
            raise CameraError(f"image folder {path} {what}: give the folder that holds the images")
        try:
            files = [
                file
                for file in path.iterdir()
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            ]
        except OSError as error:
            raise CameraError(f"image folder {path} cannot be listed: {error.strerror}") from error
        if not files:
            raise CameraError(f"image folder {path} holds no images ({', '.join(SUFFIXES)})")
        self._files = sorted(files, key=lambda file: natural_key(file.name))
        self.frame_count = len(self._files)
        self._next = 0
        first = self.read()
        assert first is not None
        self.height, self.width = first.image.shape[:2]
        self.rewind()

    def read(self) -> RecordedImage | None:
        """See Recording."""
        if self._next == len(self._files):
            return None
        file = self._files[self._next]
        self._next += 1
        return RecordedImage(read_image(file))

    def rewind(self) -> None:
        """See Recording."""
        self._next = 0

    def close(self) -> None:
        """See Recording."""
