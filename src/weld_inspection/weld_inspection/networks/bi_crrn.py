"""What bi-CRRN-E and bi-CRRN-ED share: two directions of time that are merged at the top."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.window_network import WindowNetwork


class BiCrrn(WindowNetwork):
    """A network whose spatio-temporal part reads a window forwards and backwards."""

    def __init__(self, config: NetworkConfig) -> None:
        """Makes the spatial parts and the top 1x1 convolution of eq. (3) and (6)."""
        super().__init__(config)
        self.top = self._merge()  # W_1x1, C x 2C

    def temporal(self, looks: Sequence[Tensor]) -> Tensor:
        """See WindowNetwork."""
        both = torch.cat(self.directions(*looks), 2)  # (B, T, 2 C, h, w)
        return self.top(both.flatten(0, 1)).unflatten(0, both.shape[:2])

    @abstractmethod
    def directions(self, forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the top hidden states of both directions, each (B, T, C, h, w).

        Args:
            forward: What the lowest forward layer makes of the features, (B, T, 4 C, h, w).
            backward: The same of the lowest backward layer.
        """

    def _merge(self) -> nn.Conv2d:
        return nn.Conv2d(2 * self.config.channels, self.config.channels, 1, bias=False)
