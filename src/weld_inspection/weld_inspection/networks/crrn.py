"""CRRN and ConvLSTM: the encoder and decoder of bi-CRRN-ED in one direction of time."""

from torch import Tensor

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.encoder_decoder import EncoderDecoder
from weld_inspection.networks.segmentation_network import Track
from weld_inspection.networks.window_network import WindowNetwork


class Crrn(WindowNetwork):
    """Reads a window forwards, and decodes it backwards.

    With `lower_cells` off, no memory goes up from layer to layer: what is left of a CSTM layer is
    a ConvLSTM layer (Shi et al., 2015) with a peephole weight a channel.
    """

    def __init__(
        self, config: NetworkConfig, *, attention: bool = False, lower_cells: bool = True
    ) -> None:
        """Makes the network.

        Args:
            config: Its options.
            attention: ST-Attention between encoder and decoder.
            lower_cells: CSTM layers; off for ConvLSTM layers.
        """
        super().__init__(config)
        self.stack = EncoderDecoder(
            self._stack(lower_cells=lower_cells),
            self._stack(lower_cells=lower_cells),
            self._attention(attention),
            backward=False,
            decoder_input=config.decoder_input,
        )

    def drive(self, features: Tensor) -> list[Tensor]:
        """See WindowNetwork."""
        return [self.stack.drive(features)]

    def temporal(self, drives: Track) -> Track:
        """See WindowNetwork."""
        return self.stack(drives)
