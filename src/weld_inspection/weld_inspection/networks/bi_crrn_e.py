"""bi-CRRN-E, eq. (2) and (3): an ST-Encoder whose directions are fully connected at each time."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from weld_inspection.networks.bi_crrn import BiCrrn, merge
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
        """See SegmentationNetwork: both directions of a layer, then what the next layer reads."""
        stages = [self._directions(0, ((0,), (1,)))]
        count = 2  # tracks of the looks
        for layer in range(1, self.config.layers):
            below, merged = tuple(range(count, count + 4)), (count + 4, count + 5)
            stages.append((Part(partial(self._merge_layers, layer - 1), below),))
            stages.append(self._directions(layer, (merged, merged)))
            count += 6
        return stages

    def _directions(self, layer: int, reads: Sequence[tuple[int, ...]]) -> tuple[Part, ...]:
        """The stage of a layer, forward and backward."""
        return tuple(
            Part(partial(self._run, layer, backward), reads[backward]) for backward in (False, True)
        )

    def _run(
        self, layer: int, backward: bool, inputs: Track, cells: Track | None = None
    ) -> list[Track]:
        """Runs a layer in one direction: its hidden states and, below the top, its cells.

        Args:
            layer: From 0.
            backward: Its direction.
            inputs: What the layer reads, (B, C, h, w) each; of the lowest its drives.
            cells: The merged cells of the layer below.
        """
        layers = self.backward_layers if backward else self.forward_layers
        attention = self.backward_attention if backward else self.forward_attention
        drives = layers[layer].drives(inputs) if layer else inputs
        output = layers[layer](drives, cells, backward=backward, add=attention[layer])
        top = layer == self.config.layers - 1
        return [output.hidden] if top else [output.hidden, output.cell]

    def _merge_layers(
        self, layer: int, hidden: Track, cell: Track, hidden_back: Track, cell_back: Track
    ) -> list[Track]:
        """Hidden states and cells of both directions of a layer for the one above."""
        return [
            merge(self.merge_hidden[layer], hidden, hidden_back),
            merge(self.merge_cell[layer], cell, cell_back),
        ]
