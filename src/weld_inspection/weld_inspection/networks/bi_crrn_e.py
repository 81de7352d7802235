"""bi-CRRN-E, eq. (2) and (3): an ST-Encoder whose directions are fully connected at each time."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from weld_inspection.networks.bi_crrn import BiCrrn, merge, merge_part
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.segmentation_network import Part, Track


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

    def stages(self) -> list[tuple[Part, ...]]:
        """See SegmentationNetwork: both directions of a layer, layer by layer."""
        stages = [self._directions(0, ((0,), (1,)))]
        count = self.look_count
        for layer in range(1, self.config.layers):
            below = tuple(range(count, count + 4))
            stages.append(self._directions(layer, (below, below)))
            count += 4
        return stages

    def _directions(self, layer: int, reads: Sequence[tuple[int, ...]]) -> tuple[Part, ...]:
        """The stage of a layer, forward and backward."""
        return tuple(
            Part(partial(self._run, layer, backward), reads[backward]) for backward in (False, True)
        )

    def _run(self, layer: int, backward: bool, *below: Track) -> list[Track]:
        """Runs a layer in one direction.

        Each direction adds up for itself what both read: that is less than a stage before theirs.

        Args:
            layer: From 0.
            backward: Its direction.
            below: What this gave of the layer below, forward and backward; of the lowest layer its
                drives.

        Returns:
            What `merge_part` makes of its hidden states and, below the top, of its cells.
        """
        layers = self.backward_layers if backward else self.forward_layers
        attention = self.backward_attention if backward else self.forward_attention
        if layer == 0:
            (drives,), cells = below, None
        else:
            hidden, cell, hidden_back, cell_back = below
            drives = layers[layer].drives(merge(hidden, hidden_back))
            cells = merge(cell, cell_back)
        output = layers[layer](drives, cells, backward=backward, add=attention[layer])
        if layer == self.config.layers - 1:
            return [merge_part(self.top, output.hidden, backward=backward)]
        return [
            merge_part(self.merge_hidden[layer], output.hidden, backward=backward),
            merge_part(self.merge_cell[layer], output.cell, backward=backward),
        ]
