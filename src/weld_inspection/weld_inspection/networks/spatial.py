"""The spatial encoder and decoder that work on each frame by itself."""

import torch
from torch import Tensor, nn

from weld_inspection.networks.segmentation_network import SOUND_AND_DEFECT


class SpatialEncoder(nn.Module):
    """S-Encoder: two strided convolutions, each with batch normalisation and ReLU.

    A frame of H x W becomes features of ceil(ceil(H/2)/2) x ceil(ceil(W/2)/2).
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        """Makes the layers; see NetworkConfig for the arguments."""
        super().__init__()
        padding = kernel_size // 2
        # No bias: the batch normalisation that follows would cancel it.
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, channels, kernel_size, 2, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size, 2, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Returns features (N, channels, h, w) of frames (N, in_channels, H, W)."""
        return self.layers(frames)


class SpatialDecoder(nn.Module):
    """S-Decoder: two transposed convolutions that end at exactly the frame's size."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        """Makes the layers; see NetworkConfig for the arguments."""
        super().__init__()
        padding = kernel_size // 2
        self.first = nn.ConvTranspose2d(channels, channels, kernel_size, 2, padding, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.ConvTranspose2d(channels, SOUND_AND_DEFECT, kernel_size, 2, padding)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns logits (N, 2, H, W), sound and defect.

        Args:
            features: (N, channels, h, w).
            size: (H, W) of the frames that the features were made of, in pixels.
        """
        height, width = size
        middle = [(height + 1) // 2, (width + 1) // 2]
        hidden = torch.relu(self.norm(self.first(features, output_size=middle)))
        return self.second(hidden, output_size=[height, width])
