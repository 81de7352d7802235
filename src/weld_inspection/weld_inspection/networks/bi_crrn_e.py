"""bi-CRRN-E, eq. (2) and (3): an ST-Encoder whose directions are fully connected at each time."""

import torch
from torch import Tensor, nn

from weld_inspection.networks.bi_crrn import BiCrrn
from weld_inspection.networks.config import NetworkConfig


class BiCrrnE(BiCrrn):
    """The lighter network: no ST-Decoder.

    From the second layer on, both directions read the same merged hidden states and have the same
    merged cells below them.
    """

    def __init__(self, config: NetworkConfig, *, attention: bool = False) -> None:
        """Makes the network, with ST-Attention in its ST-Encoder if `attention`."""
        super().__init__(config)
        self.forward_layers, self.backward_layers = self._stack(), self._stack()
        self.forward_attention = self._attention(attention)
        self.backward_attention = self._attention(attention)
        self.merge_hidden = nn.ModuleList(self._merge() for _ in range(config.layers - 1))
        self.merge_cell = nn.ModuleList(self._merge() for _ in range(config.layers - 1))

    def directions(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See BiCrrn; `features` is (B, T, C, h, w)."""
        steps = features.shape[:2]
        inputs, cells = features, None
        for layer in range(self.config.layers):
            forward = self.forward_layers[layer](inputs, cells, add=self.forward_attention[layer])
            backward = self.backward_layers[layer](
                inputs, cells, backward=True, add=self.backward_attention[layer]
            )
            if layer + 1 < self.config.layers:
                hidden = torch.cat((forward.hidden, backward.hidden), 2).flatten(0, 1)
                inputs = self.merge_hidden[layer](hidden).unflatten(0, steps)
                cell = torch.cat((forward.cell, backward.cell), 2).flatten(0, 1)
                cells = self.merge_cell[layer](cell).unflatten(0, steps)
        return forward.hidden, backward.hidden
