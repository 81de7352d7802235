"""Residual blocks (He et al., 2016) for the networks of single frames."""

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two 3x3 convolutions and a way past them."""

    def __init__(
        self, width_in: int, width_out: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        """Makes the block.

        Args:
            width_in: Channels in.
            width_out: Channels out.
            stride: Of the first convolution.
            dilation: Of both.
        """
        super().__init__()
        self.first = convolution(width_in, width_out, 3, stride=stride, dilation=dilation)
        self.second = convolution(width_out, width_out, 3, dilation=dilation)
        same = width_in == width_out and stride == 1
        self.past = nn.Identity() if same else convolution(width_in, width_out, 1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Returns features (N, width_out, ceil(h / stride), ceil(w / stride))."""
        return torch.relu(self.past(features) + self.second(torch.relu(self.first(features))))


def convolution(
    width_in: int, width_out: int, side: int, *, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Returns a convolution with batch normalisation that keeps h and w but for the stride."""
    padding = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(width_in, width_out, side, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(width_out),
    )
