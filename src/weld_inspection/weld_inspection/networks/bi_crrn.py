"""What bi-CRRN-E and bi-CRRN-ED share: two directions of time that are merged at the top."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import at_once
from weld_inspection.networks.segmentation_network import Track
from weld_inspection.networks.window_network import WindowNetwork


class BiCrrn(WindowNetwork):
    """A network whose spatio-temporal part reads a window forwards and backwards.

    The last tracks that its stages add are what `merge_part` makes of the top hidden states with
    `top`, forward and backward.
    """

    drive_count = 2
    temporal_reads = slice(-2, None)

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts and the top 1x1 convolution of eq. (3) and (6)."""
        super().__init__(config)
        self.top = self._merge()  # W_1x1, C x 2C

    def temporal(self, forward: Track, backward: Track) -> Track:
        """See WindowNetwork."""
        return merge(forward, backward)

    def _merge(self) -> nn.Conv2d:
        return nn.Conv2d(2 * self.config.channels, self.config.channels, 1, bias=False)


def merge_part(convolution: nn.Conv2d, states: Track, *, backward: bool) -> Track:
    """One direction's part of W_1x1 [forward ; backward]; `merge` adds both.

    Args:
        convolution: W_1x1, from 2C to C.
        states: The direction's, (B, C, h, w) for t = 1..T.
        backward: Which direction they are of.

    Returns:
        As many tensors (B, h, w, C): as convolutions write them, for OpenVINO, see gatewise.
    """
    weight = convolution.weight.chunk(2, dim=1)[backward]
    parts = at_once(partial(functional.conv2d, weight=weight), states)
    return [part.permute(0, 2, 3, 1) for part in parts]


def merge(forward: Track, backward: Track) -> Track:
    """W_1x1 [forward ; backward] of what `merge_part` gave for both, (B, C, h, w) for t = 1..T."""
    return [torch.add(*pair).permute(0, 3, 1, 2) for pair in zip(forward, backward, strict=True)]
