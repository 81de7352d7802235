"""The convolution that reads frames."""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

HALF_RANGE = 127.5  # half of what a pixel of 8 bits spans


class FrameConvolution(nn.Conv2d):
    """A convolution of frames in [-1, 1], which knows all of a pixel's 8 bits.

    The first convolution takes little time and decides what is left of them. torch computes it in
    fp32, from frames in fp32, whatever the weights are. OpenVINO rounds all to bf16, so it runs on
    frames times HALF_RANGE, with weights divided by it: pixels are then half-integers below 128,
    which bf16 holds exactly, while it would shift those in [-1, 1] by up to a quarter of a grey
    value.
    """

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> Self:
        """Makes one of the same weights, which are not copied."""
        frames = cls(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            convolution.stride,
            convolution.padding,
            bias=convolution.bias is not None,
        )
        frames.weight, frames.bias = convolution.weight, convolution.bias
        return frames

    def forward(self, frames: Tensor) -> Tensor:
        """Returns features of frames (N, in_channels, H, W), in the weights' type."""
        with torch.autocast(frames.device.type, enabled=False):
            return functional.conv2d(
                frames.float() * HALF_RANGE,
                self.weight.float() / HALF_RANGE,
                None if self.bias is None else self.bias.float(),
                self.stride,
                self.padding,
            ).to(self.weight.dtype)
