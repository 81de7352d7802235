"""What networks share that look at each frame by itself."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from weld_inspection.networks.segmentation_network import SegmentationNetwork, Track


class FrameNetwork(SegmentationNetwork):
    """Takes a window as the other networks do, and knows nothing of time."""

    def forward(self, frames: Tensor) -> Tensor:
        """See SegmentationNetwork."""
        return self.segment(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def look(self, frames: Tensor) -> list[Tensor]:
        """See SegmentationNetwork: all there is to do."""
        return [self.segment(frames)]

    def finish(self, tracks: Sequence[Track], size: tuple[int, int]) -> Tensor:
        """See SegmentationNetwork."""
        (logits,) = tracks
        return torch.stack(logits, 1)

    @abstractmethod
    def segment(self, frames: Tensor) -> Tensor:
        """Returns logits (N, 2, H, W) of frames (N, in_channels, H, W)."""
