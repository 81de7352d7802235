"""What bi-CRRN-E and bi-CRRN-ED share: two directions of time that are merged at the top."""

import torch
from torch import nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import at_once
from weld_inspection.networks.segmentation_network import Track
from weld_inspection.networks.window_network import WindowNetwork


class BiCrrn(WindowNetwork):
    """A network whose spatio-temporal part reads a window forwards and backwards.

    The last tracks that its stages add are the top hidden states, forward and backward.
    """

    finish_reads = slice(-2, None)

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts and the top 1x1 convolution of eq. (3) and (6)."""
        super().__init__(config)
        self.top = self._merge()  # W_1x1, C x 2C

    def temporal(self, forward: Track, backward: Track) -> Track:
        """See WindowNetwork."""
        return merge(self.top, forward, backward)

    def _merge(self) -> nn.Conv2d:
        return nn.Conv2d(2 * self.config.channels, self.config.channels, 1, bias=False)


def merge(convolution: nn.Conv2d, forward: Track, backward: Track) -> Track:
    """W_1x1 of both directions' states: (B, C, h, w) for t = 1..T of twice as many."""
    pairs = zip(forward, backward, strict=True)
    return at_once(convolution, [torch.cat(pair, 1) for pair in pairs])
