"""Clips: frames with masks in one documented format, written and read here.

A clip is a folder:

    clip.json    metadata, see clip_metadata.ClipMetadata; written last: a clip that has it is whole
    frames.mkv   the frames, lossless (FFV1); or frames.mp4 (MPEG-4 part 2, lossy: camera video)
    masks.mkv    the masks, lossless (FFV1), one grey channel, 0 = sound, 255 = defect

Frames and masks have the same size and number: either the camera's (1280x720) or the network's
(160x90, made by inspection.preprocessing, the live path's resize). A data set is a folder of such
folders, see training.dataset_builder for the `dataset.json` beside them.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from weld_inspection.inspection.preprocessing import resize_frame, resize_mask
from weld_inspection.training.clip_metadata import (
    MASK_VALUES,
    METADATA_NAME,
    ClipDefect,
    ClipError,
    ClipMetadata,
)
from weld_inspection.training.data_set import DATASET_NAME, check_whole

__all__ = ["CODECS", "Clip", "ClipDefect", "ClipError", "ClipMetadata", "ClipWriter", "open_clips"]

CODECS = {"ffv1": ("FFV1", "frames.mkv"), "mp4": ("mp4v", "frames.mp4")}
"""Name of a codec: (four-character code, file name). Only FFV1 gives back the same bits."""

MASKS_FILE = "masks.mkv"


class ClipWriter:
    """Writes one clip, frame by frame; a context manager.

    The clip becomes readable when the `with` block ends without an exception.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        width: int,
        height: int,
        frame_rate: float,
        source: dict[str, Any],
        defects: list[ClipDefect] | None = None,
        codec: str = "ffv1",
    ) -> None:
        """Creates the clip's folder and opens its two videos.

        Args:
            folder: The clip's folder; must not exist or be empty.
            width: Width of the stored frames, px, even (the encoders drop an odd column).
            height: Height of the stored frames, px, even.
            frame_rate: Frames a second.
            source: See `ClipMetadata.source`.
            defects: The planted defects, where known.
            codec: "ffv1" (lossless) or "mp4".

        Raises:
            ClipError: The folder is not empty or cannot be written, the size is odd, the codec
                is unknown or not available, or rate, source or defects make no sense.
        """
        self._folder = Path(folder)
        if codec not in CODECS:
            raise ClipError(f"unknown codec {codec!r}: choose one of {', '.join(CODECS)}")
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ClipError(f"clips have an even width and height, not {width}x{height}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if any(self._folder.iterdir()):
                raise ClipError(f"{self._folder} is not empty: remove it or choose another folder")
        except OSError as error:
            raise ClipError(f"{self._folder} cannot be written: {error.strerror}") from error
        self._size = (width, height)
        self._frame_rate = float(frame_rate)
        self._source = source
        self._defects = list(defects or [])
        self._positions: list[float | None] = []
        self._defect_pixels = 0
        self._frames_digest, self._masks_digest = hashlib.sha256(), hashlib.sha256()
        code, self._frames_file = CODECS[codec]
        try:
            self._metadata([None]).check()
            json.dumps(source)
        except (AttributeError, TypeError, ValueError) as error:
            raise ClipError(f"clip {self._folder} cannot be made so: {error}") from error
        self._frames = self._open(self._frames_file, code, color=True)
        self._masks = self._open(MASKS_FILE, "FFV1", color=False)

    def _open(self, name: str, code: str, color: bool) -> cv2.VideoWriter:
        path = str(self._folder / name)
        fourcc = cv2.VideoWriter_fourcc(*code)
        video = cv2.VideoWriter(path, cv2.CAP_FFMPEG, fourcc, self._frame_rate, self._size, color)
        if not video.isOpened():
            raise ClipError(
                f"{path} cannot be written as {code}: check the folder and OpenCV's FFmpeg"
            )
        return video

    def add(self, image: np.ndarray, mask: np.ndarray, position: float | None = None) -> None:
        """Adds one frame; a frame of another size is resized as the live path does it.

        Args:
            image: (H, W, 3) uint8, BGR.
            mask: (H, W) uint8, 0 or 255.
            position: Place of the frame's centre along the seam, m, where known.

        Raises:
            ClipError: The image is not a colour image, or the mask's size differs from it or it
                has other values, such as class numbers, or the position is not finite, or known
                of some frames only.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ClipError(f"a frame must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
        if mask.shape != image.shape[:2] or mask.dtype != np.uint8:
            raise ClipError(f"mask {mask.shape} {mask.dtype} does not fit frame {image.shape}")
        if (mask + np.uint8(1)).max() > 1:  # 255 and 0 come to 0 and 1
            values = [value for value in np.unique(mask).tolist() if value not in (0, 255)]
            raise ClipError(f"{MASK_VALUES}, not {', '.join(map(str, values[:5]))}")
        if position is not None and not math.isfinite(position):
            raise ClipError(f"position is {position}: give metres, or None where it is not known")
        if self._positions and (position is None) != (self._positions[0] is None):
            raise ClipError("position is known of some frames only: give it for all or for none")
        width, height = self._size
        if image.shape[:2] != (height, width):
            image = cv2.cvtColor(resize_frame(image, width, height), cv2.COLOR_RGB2BGR)
        mask = resize_mask(mask, width, height)
        image = np.ascontiguousarray(image)
        self._frames.write(image)
        self._masks.write(mask)
        self._frames_digest.update(image.data)
        self._masks_digest.update(mask.data)
        self._positions.append(None if position is None else float(position))
        self._defect_pixels += int(np.count_nonzero(mask))

    def close(self) -> ClipMetadata:
        """Ends both videos and writes `clip.json`.

        Raises:
            ClipError: No frame was added, what was written cannot be read back, or the metadata
                cannot be written.
        """
        self._release()
        if not self._positions:
            raise ClipError(f"{self._folder}: a clip needs at least one frame")
        metadata = self._metadata(self._positions)
        self._read_back(metadata)
        try:
            metadata.write(self._folder)
        except OSError as error:
            raise ClipError(f"{self._folder} cannot be written: {error.strerror}") from error
        return metadata

    def _read_back(self, metadata: ClipMetadata) -> None:
        """Makes sure that both videos are whole: the encoder tells of no frame that it lost."""
        written = Clip(self._folder, metadata)
        try:
            for video in (written.frames(), written.masks()):
                for _ in video:
                    pass
        except ClipError as error:
            raise ClipError(
                f"{error}: it was not written whole; see whether the disk or a quota is full"
            ) from error

    def _metadata(self, positions: list[float | None]) -> ClipMetadata:
        """What `clip.json` says of a clip of frames at these places."""
        width, height = self._size
        count = len(positions)
        return ClipMetadata(
            frame_rate=self._frame_rate,
            width=width,
            height=height,
            frame_count=count,
            frames_file=self._frames_file,
            masks_file=MASKS_FILE,
            source=self._source,
            defects=self._defects,
            positions=None if None in positions else list(positions),
            defect_pixel_ratio=self._defect_pixels / (count * width * height),
            frames_sha256=self._frames_digest.hexdigest(),
            masks_sha256=self._masks_digest.hexdigest(),
        )

    def _release(self) -> None:
        self._frames.release()
        self._masks.release()

    def __enter__(self) -> "ClipWriter":
        """Returns the writer."""
        return self

    def __exit__(self, kind: type | None, error: object, trace: object) -> None:
        """Closes the clip, or leaves it unfinished (without `clip.json`) after an exception."""
        if kind is None:
            self.close()
        else:
            self._release()


class Clip:
    """One clip on disk, read and checked.

    Attributes:
        folder: The clip's folder.
        metadata: Contents of its `clip.json`.
    """

    def __init__(self, folder: Path | str, metadata: ClipMetadata | None = None) -> None:
        """Reads the metadata; the videos are opened when they are read.

        Args:
            folder: The clip's folder.
            metadata: Of a clip that is being written; None for what its `clip.json` says.

        Raises:
            ClipError: The folder is no clip, or its metadata is damaged.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ClipError(f"{self.folder} is not a folder")
        self.metadata = ClipMetadata.read(self.folder) if metadata is None else metadata

    @property
    def name(self) -> str:
        """Name of the clip: its folder's."""
        return self.folder.name

    def frames(self) -> Iterator[np.ndarray]:
        """Yields the frames, (H, W, 3) uint8, BGR.

        Raises:
            ClipError: The video is missing, cut, damaged, too long or of another size.
        """
        digest = hashlib.sha256()
        for image in self._video(self.metadata.frames_file):
            digest.update(image.data)
            yield image
        if self.metadata.frames_file == CODECS["ffv1"][1]:
            self._compare(
                self.metadata.frames_file, digest.hexdigest(), self.metadata.frames_sha256
            )

    def masks(self) -> Iterator[np.ndarray]:
        """Yields the masks, (H, W) uint8, 0 or 255.

        Raises:
            ClipError: As in `frames`, or a value is neither 0 nor 255.
        """
        digest = hashlib.sha256()
        for image in self._video(self.metadata.masks_file):
            mask = np.ascontiguousarray(image[..., 0])
            if not np.isin(mask, (0, 255)).all():
                path = self.folder / self.metadata.masks_file
                raise ClipError(f"{path}: a mask holds values other than 0 and 255")
            digest.update(mask.data)
            yield mask
        self._compare(self.metadata.masks_file, digest.hexdigest(), self.metadata.masks_sha256)

    def _compare(self, name: str, digest: str, expected: str) -> None:
        if expected and digest != expected:  # clips of others may not know it
            raise ClipError(
                f"{self.folder / name} is damaged: its pixels are not those that were written"
            )

    def _video(self, name: str) -> Iterator[np.ndarray]:
        path = self.folder / name
        if not path.is_file():
            raise ClipError(f"{self.folder} is damaged: {name} is missing")
        video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        count, expected = 0, self.metadata.frame_count
        shape = (self.metadata.height, self.metadata.width)
        try:
            if not video.isOpened():
                raise ClipError(f"{path} cannot be read as a video: it is damaged or cut")
            while True:
                found, image = video.read()
                if not found:
                    break
                if image.shape[:2] != shape:
                    raise ClipError(
                        f"{path}: frames are {image.shape[1]}x{image.shape[0]}, "
                        f"{METADATA_NAME} says {shape[1]}x{shape[0]}"
                    )
                count += 1
                if count > expected:
                    raise ClipError(f"{path}: more frames than the {expected} of {METADATA_NAME}")
                yield image
        finally:
            video.release()
        if count < expected:
            raise ClipError(f"{path} is cut: {count} of {expected} frames can be read")


def open_clips(folder: Path | str) -> list[Clip]:
    """Opens all clips of a data set, in the order of their names; a clip's own folder works too.

    Args:
        folder: Folder that holds clips, or is one.

    Raises:
        ClipError: The folder does not exist, holds no clip, a clip in it is damaged, or they are
            not those of its `dataset.json`.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ClipError(f"no such folder of clips: {root}")
    if (root / METADATA_NAME).exists():
        return [Clip(root)]
    check_whole(root)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] != ".")
    sets = [path.name for path in folders if (path / DATASET_NAME).exists()]
    if sets:
        raise ClipError(f"{root} holds sets of clips: give one or more of {', '.join(sets)} in it")
    clips = [Clip(path) for path in folders]
    if not clips:
        raise ClipError(f"{root} holds no clips: write some with make_dataset")
    return clips
