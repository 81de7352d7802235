"""The spatial encoder and decoder that work on each frame by itself."""

import torch
from torch import Tensor, nn

from weld_inspection.networks.frame_convolution import FrameConvolution
from weld_inspection.networks.segmentation_network import SOUND_AND_DEFECT

DETAILS = 3  # of the S-Encoder's layers give its details


class SpatialEncoder(nn.Module):
    """S-Encoder: two strided convolutions, each with batch normalisation and ReLU.

    A frame of H x W becomes details of ceil(H/2) x ceil(W/2), and these become features of
    ceil(ceil(H/2)/2) x ceil(ceil(W/2)/2).
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        """Makes the layers; see NetworkConfig for the arguments."""
        super().__init__()
        padding = kernel_size // 2
        # No bias: the batch normalisation that follows would cancel it.
        self.layers = nn.Sequential(
            FrameConvolution(in_channels, channels, kernel_size, 2, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size, 2, padding, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Returns details and features, (N, channels, ...) each.

        Args:
            frames: (N, in_channels, H, W) in [-1, 1].
        """
        details = self.layers[:DETAILS](frames)
        return details, self.layers[DETAILS:](details)


class SkipConnection(nn.Module):
    """Leads the S-Encoder's details around what lies between it and the S-Decoder.

    See NetworkConfig.skip. It begins with zeros: as if it was not there.
    """

    def __init__(self, channels: int) -> None:
        """Makes the convolution; see NetworkConfig for the argument."""
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.convolution.weight)

    def forward(self, details: Tensor) -> Tensor:
        """Returns what the S-Decoder adds, (N, ceil(H/2), ceil(W/2), channels).

        The channels come last as convolutions write them, for OpenVINO, see gatewise.

        Args:
            details: Of the S-Encoder.
        """
        return self.convolution(details).permute(0, 2, 3, 1)


class SpatialDecoder(nn.Module):
    """S-Decoder: two transposed convolutions that end at exactly the frame's size.

    Beside a U-Net it has two layers more, which add to the logits what a third transposed
    convolution and the U-Net make out together. The last of them begins with zeros: as if they were
    not there.
    """

    def __init__(self, channels: int, kernel_size: int, unet_channels: int = 0) -> None:
        """Makes the layers; see NetworkConfig for the arguments."""
        super().__init__()
        padding = kernel_size // 2
        self.first = nn.ConvTranspose2d(channels, channels, kernel_size, 2, padding, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.ConvTranspose2d(channels, SOUND_AND_DEFECT, kernel_size, 2, padding)
        self.third = self.fourth = None
        if unet_channels:
            self.third = nn.ConvTranspose2d(
                channels, unet_channels, kernel_size, 2, padding, bias=False
            )
            self.fourth = nn.Conv2d(unet_channels, SOUND_AND_DEFECT, 3, padding=1, bias=False)
            nn.init.zeros_(self.fourth.weight)

    def forward(
        self,
        features: Tensor,
        size: tuple[int, int],
        skipped: Tensor | None = None,
        fine: Tensor | None = None,
    ) -> Tensor:
        """Returns logits (N, 2, H, W), sound and defect.

        Args:
            features: (N, channels, h, w).
            size: (H, W) of the frames that the features were made of, in pixels.
            skipped: What SkipConnection gave of the same frames, where there is one.
            fine: What the U-Net gave of them, (N, H, W, unet_channels), where there is one.
        """
        height, width = size
        middle = [(height + 1) // 2, (width + 1) // 2]
        hidden = self.norm(self.first(features, output_size=middle))
        if skipped is not None:
            hidden = hidden + skipped.permute(0, 3, 1, 2)
        hidden = torch.relu(hidden)
        logits = self.second(hidden, output_size=[height, width])
        if fine is None:
            return logits
        both = self.third(hidden, output_size=[height, width]) + fine.permute(0, 3, 1, 2)
        return logits + self.fourth(torch.relu(both))
