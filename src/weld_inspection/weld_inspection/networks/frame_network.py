"""What networks share that look at each frame by itself."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig


class FrameNetwork(nn.Module, ABC):
    """Takes a window as the other networks do, and knows nothing of time."""

    def __init__(self, config: NetworkConfig) -> None:
        """Keeps the options."""
        super().__init__()
        self.config = config

    def forward(self, frames: Tensor) -> Tensor:
        """Returns logits of sound and defect for every pixel.

        Args:
            frames: (B, T, in_channels, H, W) in [-1, 1]; any T >= 1, H and W >= 16.

        Returns:
            (B, T, 2, H, W). The probability of a defect is the sigmoid of channel 1.
        """
        return self.segment(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    @abstractmethod
    def segment(self, frames: Tensor) -> Tensor:
        """Returns logits (N, 2, H, W) of frames (N, in_channels, H, W)."""
