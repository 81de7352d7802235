"""bi-CRRN-E, eq. (2) and (3): an ST-Encoder whose directions are fully connected at each time."""

from collections.abc import Sequence

from torch import Tensor, nn

from weld_inspection.networks.bi_crrn import BiCrrn, merge
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

    def drive(self, features: Tensor) -> list[Tensor]:
        """See WindowNetwork."""
        return [layers[0].drive(features) for layers in (self.forward_layers, self.backward_layers)]

    def directions(
        self, forward: Sequence[Tensor], backward: Sequence[Tensor]
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """See BiCrrn."""
        adds = list(zip(self.forward_attention, self.backward_attention, strict=True))
        ahead = self.forward_layers[0](forward, add=adds[0][0])
        back = self.backward_layers[0](backward, backward=True, add=adds[0][1])
        for layer in range(1, self.config.layers):
            inputs = merge(self.merge_hidden[layer - 1], ahead.hidden, back.hidden)
            cells = merge(self.merge_cell[layer - 1], ahead.cell, back.cell)
            upper = self.forward_layers[layer]
            ahead = upper(upper.drives(inputs), cells, add=adds[layer][0])
            upper = self.backward_layers[layer]
            back = upper(upper.drives(inputs), cells, backward=True, add=adds[layer][1])
        return ahead.hidden, back.hidden
