"""S-Decoder with sub-pixel convolutions: the form that inference libraries compute fastest.

A transposed convolution of stride 2 is an ordinary one at the small size that gives the four
children of each pixel as channels (Shi et al., "Real-Time Single Image and Video Super-Resolution
Using an
Efficient Sub-Pixel Convolutional Neural Network", 2016). Libraries have faster kernels for that.
"""

import torch
from torch import Tensor, nn

from weld_inspection.networks.spatial import SpatialDecoder

STRIDE = 2


class SubpixelDecoder(SpatialDecoder):
    """Computes what the S-Decoder computes that it is made of; not for training."""

    def __init__(self, decoder: SpatialDecoder) -> None:
        """Takes over a decoder's weights, which are copied."""
        nn.Module.__init__(self)
        self.first = SubpixelConvolution(decoder.first)
        self.norm = decoder.norm
        self.second = SubpixelConvolution(decoder.second)


class SubpixelConvolution(nn.Module):
    """A transposed convolution of stride 2 as an ordinary one and a shuffle of its channels."""

    def __init__(self, transposed: nn.ConvTranspose2d) -> None:
        """Takes over a layer of odd kernel size k and padding k // 2."""
        super().__init__()
        (size, _), (padding, _) = transposed.kernel_size, transposed.padding
        radius = (padding + 1) // 2
        channels = transposed.out_channels
        self.convolution = nn.Conv2d(
            transposed.in_channels,
            channels * STRIDE**2,
            2 * radius + 1,
            padding=radius,
            bias=transposed.bias is not None,
        )
        # Child (a, b) of a pixel gets from the pixel (dy, dx) away what the transposed convolution
        # spreads that far: its weight at a + padding - 2 dy, b + padding - 2 dx.
        weight = torch.zeros(channels, STRIDE, STRIDE, *self.convolution.weight.shape[1:])
        taps = [
            (child, offset + radius, child + padding - STRIDE * offset)
            for child in range(STRIDE)
            for offset in range(-radius, radius + 1)
            if 0 <= child + padding - STRIDE * offset < size
        ]
        for a, row, from_row in taps:
            for b, column, from_column in taps:
                spread = transposed.weight[:, :, from_row, from_column].detach()
                weight[:, a, b, :, row, column] = spread.T
        self.convolution.weight = nn.Parameter(weight.flatten(0, 2))
        if transposed.bias is not None:
            bias = transposed.bias.detach().repeat_interleave(STRIDE**2)
            self.convolution.bias = nn.Parameter(bias)

    def forward(self, inputs: Tensor, output_size: list[int]) -> Tensor:
        """Returns (N, K, *output_size) of (N, C, h, w); sizes as of ConvTranspose2d."""
        height, width = output_size
        shuffled = nn.functional.pixel_shuffle(self.convolution(inputs), STRIDE)
        return shuffled[..., :height, :width]
