"""Layers as sub-pixel convolutions: the form of them that inference libraries compute fastest.

A transposed convolution of stride 2 is an ordinary one at the small size that gives the four
children of each pixel as channels (Shi et al., "Real-Time Single Image and Video Super-Resolution
Using an Efficient Sub-Pixel Convolutional Neural Network", 2016). So is one of children, that gives
the sixteen grandchildren: nothing is moved before the end. Channels of children and grandchildren
are in the order in which torch's pixel_shuffle takes them.
"""

from collections.abc import Iterator, Sequence

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
            self.fourth = _defect_of_children(decoder.fourth)

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
            fine: What the U-Net that ends in SubpixelLast gave of them, where there is one,
                (N, ceil(H/2), ceil(W/2), STRIDE^2 unet_channels).
        """
        height, width = size
        children = self.first(features)
        if skipped is not None:
            children = children + skipped.permute(0, 3, 1, 2)
        children = torch.relu(children)
        middle = [(length + 1) // STRIDE for length in size]
        children = _without_outside(children, middle)
        logits = functional.pixel_shuffle(self.second(children), STRIDE**2)[..., :height, :width]
        if fine is None:
            return logits
        hidden = functional.pixel_shuffle(children, STRIDE)[..., : middle[0], : middle[1]]
        both = torch.relu(self.third(hidden) + fine.permute(0, 3, 1, 2))
        more = functional.pixel_shuffle(self.fourth(_without_outside(both, size)), STRIDE)
        return logits + more[..., :height, :width]


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


class SubpixelLast(nn.Module):
    """Computes what the last convolution of a U-Net gives that it is made of, as children."""

    def __init__(self, last: nn.Conv2d) -> None:
        """Takes over the weights, which are copied.

        Args:
            last: Of kernel size 1.
        """
        super().__init__()
        outputs, inputs = last.weight.shape[:2]
        weight = torch.zeros(outputs, STRIDE, STRIDE, inputs, STRIDE, STRIDE)
        for a in range(STRIDE):
            for b in range(STRIDE):
                weight[:, a, b, :, a, b] = last.weight[:, :, 0, 0]
        self.convolution = nn.Conv2d(inputs, STRIDE**2 * outputs, STRIDE, STRIDE)
        self.convolution.weight = nn.Parameter(weight.flatten(0, 2).detach())
        self.convolution.bias = nn.Parameter(last.bias.repeat_interleave(STRIDE**2).detach())

    def forward(self, features: Tensor) -> Tensor:
        """Features (N, channels, H, W) to (N, STRIDE^2 channels, ceil(H/2), ceil(W/2))."""
        height, width = features.shape[2:]
        padded = functional.pad(features, (0, width % STRIDE, 0, height % STRIDE))
        return self.convolution(padded)


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


def _defect_of_children(one: nn.Conv2d) -> nn.Conv2d:
    """Makes the convolution that reads children and gives another one's defect logit, as children.

    Args:
        one: Of kernel size 3 and padding 1, without bias.
    """
    weight = torch.zeros(STRIDE, STRIDE, one.in_channels, STRIDE, STRIDE, 3, 3)
    # Along one axis: whose child is made, which of the weights, where what that reads lies.
    taps = [(a, tap, *divmod(a + tap - 1, STRIDE)) for a in range(STRIDE) for tap in range(3)]
    for a, row, y, from_a in taps:
        for b, column, x, from_b in taps:
            weight[a, b, :, from_a, from_b, y + 1, x + 1] = one.weight[DEFECT_LOGIT, :, row, column]
    children = nn.Conv2d(STRIDE**2 * one.in_channels, STRIDE**2, 3, padding=1, bias=False)
    children.weight = nn.Parameter(weight.flatten(2, 4).flatten(0, 1).detach())
    return children


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


def _without_outside(children: Tensor, size: Sequence[int]) -> Tensor:
    """Children with zeros for those that lie outside an image of (h, w)."""
    rows, columns = (
        _inside(length, small) for length, small in zip(size, children.shape[2:], strict=True)
    )
    if rows.all() and columns.all():
        return children
    inside = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)
    # As many axes as the children have, or OpenVINO would lay those out anew for it.
    inside = inside.repeat(children.shape[1] // STRIDE**2, 1, 1).to(children)
    return children * inside.unsqueeze(0)


def _inside(length: int, small: int) -> Tensor:
    """Whether child (a, y) of a small axis' pixels lies within `length`: bool, (2, small).

    It is (2, 1) where all do.
    """
    inside = (torch.arange(STRIDE * small) < length).reshape(small, STRIDE).T
    return inside[:, :1] if inside.all() else inside
