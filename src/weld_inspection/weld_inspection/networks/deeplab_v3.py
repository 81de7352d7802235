"""DeepLabv3 (Chen et al., 2017) in a size that trains on small frames.

MONAI has none, and torchvision, which has, does not import beside PyPI's CPU build of torch.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.frame_network import FrameNetwork
from weld_inspection.networks.residual import Residual, convolution
from weld_inspection.networks.segmentation_network import SOUND_AND_DEFECT

# (width as a multiple of `channels`, stride, dilation) of each stage's two residual blocks, as in a
# ResNet-18 whose last two stages dilate instead of striding: features of an eighth of the frame.
STAGES = ((1, 1, 1), (2, 2, 1), (4, 1, 2), (4, 1, 4))
# The paper's rates, 6, 12, 18 at a sixteenth of 513 pixels, reach as far over the features of a
# 160x90 frame as these do.
RATES = (2, 4, 6)


class DeepLabV3(FrameNetwork):
    """A residual network with dilated stages, and atrous spatial pyramid pooling on top."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the network."""
        super().__init__(config)
        width = config.channels
        layers: list[nn.Module] = [
            convolution(config.in_channels, width, 5, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
        ]
        for multiple, stride, dilation in STAGES:
            layers.append(
                Residual(width, multiple * config.channels, stride=stride, dilation=dilation)
            )
            width = multiple * config.channels
            layers.append(Residual(width, width, dilation=dilation))
        self.backbone = nn.Sequential(*layers)
        self.pyramid = Pyramid(width, config.channels)
        self.head = nn.Conv2d(config.channels, SOUND_AND_DEFECT, 1)

    def segment(self, frames: Tensor) -> Tensor:
        """See FrameNetwork."""
        logits = self.head(self.pyramid(self.backbone(frames)))
        return interpolate(logits, frames.shape[-2:], mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: a pixel, its surroundings at RATES, and the whole image."""

    def __init__(self, width_in: int, width_out: int) -> None:
        """Makes the branches."""
        super().__init__()
        self.branches = nn.ModuleList([convolution(width_in, width_out, 1)])
        self.branches += [convolution(width_in, width_out, 3, dilation=rate) for rate in RATES]
        # No batch normalisation here: one pixel a frame has no statistics.
        self.image = nn.Conv2d(width_in, width_out, 1)
        self.merge = convolution((len(self.branches) + 1) * width_out, width_out, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Returns features (N, width_out, h, w)."""
        image = self.image(features.mean((2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        parts = [branch(features) for branch in self.branches] + [image]
        return torch.relu(self.merge(torch.relu(torch.cat(parts, 1))))
