"""Windows of clips as a torch data set."""

import logging
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from weld_inspection.inspection.preprocessing import resize_frame, resize_mask
from weld_inspection.training.augmentation import Augmentation
from weld_inspection.training.clips import Clip, ClipError, open_clips
from weld_inspection.training.crops import Crop

MEMORY_LIMIT = 4 * 2**30
"""Bytes of decoded frames and masks kept in memory; a larger set goes to a temporary file."""

_logger = logging.getLogger(__name__)


class WindowDataset(Dataset):
    """All windows of T frames of a folder of clips, decoded once and kept.

    Windows lie inside a clip, without overlap unless `stride` is smaller than `window`; a rest
    shorter than a window is left out, as in Algorithm 1. Clips of another size are resized by the
    live path's code.

    An item is a dict: `frames` (T, H, W, 3) uint8 RGB and `masks` (T, H, W) uint8, 0 or 1.

    With `augment` or `crop`, what happens to a window follows from the seed, the set's number, the
    window's index and how often it was drawn before (in any worker): once an epoch, so each epoch
    differs and a run can be repeated.

    Attributes:
        clips: The clips that gave windows, in order.
        skipped: Names of clips that are shorter than a window.
        defect_pixel_ratio: Share of defect pixels over all frames of `clips`.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        window: int = 10,
        width: int = 160,
        height: int = 90,
        stride: int | None = None,
        augment: bool = False,
        crop: Crop | None = None,
        seed: int = 0,
        number: int = 0,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        """Reads and decodes the clips.

        Args:
            folder: Folder of clips, see `training.clips`.
            window: T, frames of a window.
            width: Width of the windows, px.
            height: Height of the windows, px.
            stride: Frames from one window to the next; None for `window`.
            augment: Change windows at random, see `training.augmentation`.
            crop: Part that is cut out of each window; None for whole frames.
            seed: Of the random changes and crops.
            number: Of this set among those of a training: each draws otherwise, also where a set
                is given twice.
            memory_limit: Largest decoded set to keep in memory, bytes.

        Raises:
            ClipError: No clips, a damaged clip, no clip as long as a window, or a number out of
                its range.
        """
        if crop is not None and not (0 < crop.width <= width and 0 < crop.height <= height):
            raise ClipError(
                f"a crop of {crop.width}x{crop.height} does not fit frames of {width}x{height}"
            )
        step = window if stride is None else stride
        for name, value in (("window", window), ("stride", step)):
            if value < 1:
                raise ClipError(f"the {name} must be 1 frame or more, not {value}")
        found = open_clips(folder)
        self.clips = [clip for clip in found if clip.metadata.frame_count >= window]
        self.skipped = [clip.name for clip in found if clip.metadata.frame_count < window]
        if not self.clips:
            raise ClipError(f"{folder}: all {len(found)} clips are shorter than {window} frames")
        if self.skipped:
            _logger.warning(
                "%s: %d of %d clips are shorter than %d frames and are left out",
                folder, len(self.skipped), len(found), window,
            )  # fmt: skip
        self.window = window
        self._seed, self._number = seed, number
        self._augmentation = Augmentation() if augment else None
        self._crop = crop
        counts = [clip.metadata.frame_count for clip in self.clips]
        total = sum(counts)
        self._frames = _allocate((total, height, width, 3), memory_limit * 3 // 4)
        self._masks = _allocate((total, height, width), memory_limit // 4)
        self._starts: list[int] = []
        firsts = np.cumsum([0, *counts[:-1]]).tolist()
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders leave Python's lock alone
            list(pool.map(self._decode, self.clips, firsts))
        for first, count in zip(firsts, counts, strict=True):
            self._starts += range(first, first + count - window + 1, step)
        defects = sum(int(np.count_nonzero(mask)) for mask in self._masks)
        self.defect_pixel_ratio = defects / self._masks.size
        # Shared, so that workers of a DataLoader count together.
        self._draws = torch.zeros(len(self._starts), dtype=torch.int32).share_memory_()

    def __len__(self) -> int:
        """Number of windows."""
        return len(self._starts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Returns window `index` as frames and masks."""
        start = self._starts[index]
        frames = self._frames[start : start + self.window]
        masks = self._masks[start : start + self.window]
        draw = int(self._draws[index])
        self._draws[index] += 1
        rng = np.random.default_rng([self._seed, index % len(self), draw, self._number])
        if self._augmentation is not None:
            frames, masks = self._augmentation.apply(frames, masks, rng)
        if self._crop is not None:
            frames, masks = self._crop.cut(frames, masks, rng)
        if self._augmentation is None and self._crop is None:
            frames, masks = frames.copy(), masks.copy()
        return {"frames": torch.from_numpy(frames), "masks": torch.from_numpy(masks)}

    def set_epoch(self, epoch: int) -> None:
        """Sets how often each window counts as drawn before this epoch."""
        self._draws.fill_(epoch)

    def _decode(self, clip: Clip, first: int) -> None:
        height, width = self._masks.shape[1:]
        for offset, (frame, mask) in enumerate(zip(clip.frames(), clip.masks(), strict=True)):
            self._frames[first + offset] = resize_frame(frame, width, height)
            self._masks[first + offset] = resize_mask(mask, width, height) // 255


def _allocate(shape: tuple[int, ...], limit: int) -> np.ndarray:
    """Returns room for uint8 values: in memory, or beyond `limit` bytes in a temporary file.

    Raises:
        ClipError: The disk has not enough room.
    """
    size = int(np.prod(shape, dtype=np.int64))
    if size <= limit:
        return np.empty(shape, np.uint8)
    try:
        file = tempfile.TemporaryFile()
        # Now, for where room is missing later the system ends the process.
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise ClipError(
            f"{size / 1e9:.1f} GB of decoded frames do not fit into {tempfile.gettempdir()} "
            f"({error.strerror}): make room there, or set TMPDIR to a folder with more"
        ) from error
    return np.memmap(file, np.uint8, "r+", shape=shape)
