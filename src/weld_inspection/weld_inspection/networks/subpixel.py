"""Layers as sub-pixel convolutions: the form of them that inference libraries compute fastest.

A transposed convolution of stride 2 is an ordinary one at the small size that gives the four
children of each pixel as channels (Shi et al., "Real-Time Single Image and Video Super-Resolution
Using an Efficient Sub-Pixel Convolutional Neural Network", 2016). So is one of children, that gives
the sixteen grandchildren: nothing is moved before the end. Channels of children and grandchildren
are in the order in which torch's pixel_shuffle takes them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from weld_inspection.networks.cstm import AttentionMap
from weld_inspection.networks.segmentation_network import DEFECT_LOGIT
from weld_inspection.networks.spatial import SkipConnection, SpatialDecoder

STRIDE = 2
BLOCK = 4


class SubpixelDecoder(nn.Module):
    """Computes what the S-Decoder computes of defects that it is made of; not for training."""

    def __init__(self, decoder: SpatialDecoder) -> None:
        """Takes over a decoder's weights, which are copied.

        Args:
            decoder: Of convolutions of odd kernel size k and padding k // 2.
        """
        super().__init__()
        first, norm, second = decoder.first, decoder.norm, decoder.second
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        bias = norm.bias - scale * norm.running_mean
        self.first = _giving_children(first, scale, bias)

        channels = first.out_channels
        radius = (self.first.padding[0] + 1) // 2
        self.second = nn.Conv2d(STRIDE**2 * channels, STRIDE**4, 2 * radius + 1, padding=radius)
        shape = (STRIDE**2, STRIDE**2, channels, STRIDE, STRIDE, *self.second.kernel_size)
        weight = torch.zeros(shape)
        for (a, child_y, y, from_y), (b, child_x, x, from_x) in _pairs(second, STRIDE, radius):
            weight[a, b, :, child_y, child_x, y, x] = second.weight[:, DEFECT_LOGIT, from_y, from_x]
        self.second.weight = nn.Parameter(weight.flatten(2, 4).flatten(0, 1).detach())
        bias = second.bias[DEFECT_LOGIT].expand(STRIDE**4)
        self.second.bias = nn.Parameter(bias.detach().clone())

        self.third = self.fourth = None
        if decoder.third is not None:
            # At half the frame's size: grandchildren of so many channels would be mostly zeros.
            self.third = _giving_children(decoder.third)
            fourth = decoder.fourth
            self.fourth = nn.Conv2d(
                fourth.in_channels, 1, fourth.kernel_size, padding=fourth.padding, bias=False
            )
            weight = fourth.weight[DEFECT_LOGIT : DEFECT_LOGIT + 1]
            self.fourth.weight = nn.Parameter(weight.detach().clone())

    def forward(
        self,
        features: Tensor,
        size: tuple[int, int],
        skipped: Tensor | None = None,
        fine: Tensor | None = None,
    ) -> Tensor:
        """Returns the logit of defects, (N, 1, H, W).

        Args:
            features: (N, channels, h, w).
            size: (H, W) of the frames that the features were made of, in pixels.
            skipped: What SubpixelSkip gave of the same frames, where there is one.
            fine: What the U-Net gave of them, (N, H, W, unet_channels), where there is one.
        """
        height, width = size
        children = self.first(features)
        if skipped is not None:
            children = children + skipped.permute(0, 3, 1, 2)
        children = torch.relu(children)
        rows, columns = (
            _inside((length + 1) // STRIDE, small)
            for length, small in zip(size, features.shape[2:], strict=True)
        )
        if not (rows.all() and columns.all()):
            inside = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)
            channels = self.first.out_channels // STRIDE**2
            # As many axes as the children have, or OpenVINO would lay those out anew for it.
            children = children * inside.repeat(channels, 1, 1).to(features).unsqueeze(0)
        logits = functional.pixel_shuffle(self.second(children), STRIDE**2)[..., :height, :width]
        if fine is None:
            return logits
        middle_height, middle_width = ((length + 1) // STRIDE for length in size)
        hidden = functional.pixel_shuffle(children, STRIDE)[..., :middle_height, :middle_width]
        spread = functional.pixel_shuffle(self.third(hidden), STRIDE)[..., :height, :width]
        return logits + self.fourth(torch.relu(spread + fine.permute(0, 3, 1, 2)))


class SubpixelSkip(nn.Module):
    """Computes what the SkipConnection gives that it is made of, as SubpixelDecoder's children."""

    def __init__(self, skip: SkipConnection) -> None:
        """Takes over a connection's weights, which are copied."""
        super().__init__()
        one = skip.convolution
        size, _ = one.kernel_size
        self.radius = size // 2
        outputs, inputs = one.weight.shape[:2]
        weight = torch.zeros(outputs, STRIDE, STRIDE, inputs, *(2 * [size + STRIDE - 1]))
        for a in range(STRIDE):
            for b in range(STRIDE):
                weight[:, a, b, :, a : a + size, b : b + size] = one.weight
        self.convolution = nn.Conv2d(
            one.in_channels, STRIDE**2 * one.out_channels, size + STRIDE - 1, STRIDE, bias=False
        )
        self.convolution.weight = nn.Parameter(weight.flatten(0, 2).detach())

    def forward(self, details: Tensor) -> Tensor:
        """See SkipConnection; (N, h, w, STRIDE^2 channels)."""
        height, width = details.shape[2:]
        before = self.radius
        below, right = (before + length % STRIDE for length in (height, width))
        padded = functional.pad(details, (before, right, before, below))
        return self.convolution(padded).permute(0, 2, 3, 1)


class SubpixelAttention(nn.Module):
    """Computes the map of an AttentionMap that it is made of; not for training.

    One channel leaves most of a vector register empty, so this gives the pixels of a block of
    BLOCK x BLOCK as channels, by a convolution with that stride.
    """

    def __init__(self, attention: AttentionMap) -> None:
        """Takes over a map's weights, which are copied.

        Args:
            attention: Of a convolution of odd kernel size k and padding k // 2.
        """
        super().__init__()
        one = attention.convolution
        size, _ = one.kernel_size
        self.radius = size // 2
        weight = torch.zeros(BLOCK, BLOCK, one.in_channels, *(2 * [size + BLOCK - 1]))
        for y in range(BLOCK):
            for x in range(BLOCK):
                weight[y, x, :, y : y + size, x : x + size] = one.weight[0]
        self.blocks = nn.Conv2d(one.in_channels, BLOCK**2, size + BLOCK - 1, BLOCK)
        self.blocks.weight = nn.Parameter(weight.flatten(0, 1).detach())
        self.blocks.bias = nn.Parameter(one.bias.detach().repeat(BLOCK**2))

    def forward(self, hidden: Tensor) -> Tensor:
        """See AttentionMap."""
        height, width = hidden.shape[2:]
        before = self.radius
        below, right = (before + -length % BLOCK for length in (height, width))
        blocks = self.blocks(functional.pad(hidden, (before, right, before, below)))
        return torch.tanh(functional.pixel_shuffle(blocks, BLOCK)[..., :height, :width])


def _giving_children(
    transposed: nn.ConvTranspose2d, scale: Tensor | None = None, bias: Tensor | None = None
) -> nn.Conv2d:
    """Makes the convolution that gives what a transposed one does, as children.

    Args:
        transposed: Of odd kernel size k and padding k // 2, without bias.
        scale: What its channels are then multiplied by; nothing by default.
        bias: What is then added to them; nothing by default.
    """
    channels = transposed.out_channels
    radius = (transposed.padding[0] + 1) // 2
    ordinary = nn.Conv2d(
        transposed.in_channels,
        STRIDE**2 * channels,
        2 * radius + 1,
        padding=radius,
        bias=bias is not None,
    )
    weight = torch.zeros(channels, STRIDE, STRIDE, *ordinary.weight.shape[1:])
    for (a, _, y, from_y), (b, _, x, from_x) in _pairs(transposed, 1, radius):
        weight[:, a, b, :, y, x] = transposed.weight[:, :, from_y, from_x].T
    if scale is not None:
        weight *= scale[:, None, None, None, None, None]
    ordinary.weight = nn.Parameter(weight.flatten(0, 2).detach())
    if bias is not None:
        ordinary.bias = nn.Parameter(bias.repeat_interleave(STRIDE**2).detach())
    return ordinary


def _pairs(transposed: nn.ConvTranspose2d, parts: int, radius: int) -> Iterator[tuple]:
    """The same of both axes, in all combinations; see _taps."""
    taps = list(_taps(transposed, parts, radius))
    return ((row, column) for row in taps for column in taps)


def _taps(
    transposed: nn.ConvTranspose2d, parts: int, radius: int
) -> Iterator[tuple[int, int, int, int]]:
    """Tells along one axis what pixels of a small image add to the children of their neighbours.

    Args:
        transposed: Spreads pixels, each of which is one of `parts` that a small pixel has.
        parts: 1, or 2 where the pixels are children of the small image's pixels themselves.
        radius: How far neighbours are off at most.

    Yields:
        Child of the neighbour, or grandchild where there are 2 parts; part of the small pixel;
        where that one lies, from 0 for `radius` before the neighbour; and which of the transposed
        convolution's weights it is.
    """
    (size, _), (padding, _) = transposed.kernel_size, transposed.padding
    for child in range(STRIDE * parts):
        of_part, own = divmod(child, STRIDE)
        for part in range(parts):
            for offset in range(-radius, radius + 1):
                # The spreading pixel lies that far from the one whose child this is.
                distance = parts * offset + part - of_part
                weight = own + padding - STRIDE * distance
                if 0 <= weight < size:
                    yield child, part, offset + radius, weight


def _inside(length: int, small: int) -> Tensor:
    """Whether child (a, y) of a small axis' pixels lies within `length`: bool, (2, small).

    It is (2, 1) where all do.
    """
    inside = (torch.arange(STRIDE * small) < length).reshape(small, STRIDE).T
    return inside[:, :1] if inside.all() else inside
