"""An ST-Encoder and the ST-Decoder that undoes it, in one direction of time, eq. (4) to (7)."""

from torch import Tensor, nn

from weld_inspection.networks.cstm import at_once
from weld_inspection.networks.segmentation_network import Track


class EncoderDecoder(nn.Module):
    """The ST-Encoder of one direction and the ST-Decoder that runs back through the same time."""

    def __init__(
        self,
        encoder: nn.ModuleList,
        decoder: nn.ModuleList,
        attention: nn.ModuleList,
        *,
        backward: bool,
        decoder_input: str,
    ) -> None:
        """Makes one direction.

        Args:
            encoder: CSTM layers, lowest first.
            decoder: As many CSTM layers.
            attention: An AttentionMap or None for each layer.
            backward: The encoder runs t = T..1 and the decoder 1..T, instead of the other way.
            decoder_input: See NetworkConfig.
        """
        super().__init__()
        self.encoder, self.decoder, self.attention = encoder, decoder, attention
        self.backward = backward
        self.decoder_input = decoder_input

    def drive(self, features: Tensor) -> Tensor:
        """Returns what the lowest layer makes of frames' features, see CSTM."""
        return self.encoder[0].drive(features)

    def decode(self, drives: Track) -> list[Track]:
        """As `forward`, for a stage of a network."""
        return [self(drives)]

    def forward(self, drives: Track) -> Track:
        """Returns the decoder's top hidden states.

        Args:
            drives: What `drive` gave for t = 1..T, (B, 4C, h, w) each.

        Returns:
            (B, C, h, w) for t = 1..T.
        """
        encoded = []
        for layer, attention in zip(self.encoder, self.attention, strict=True):
            options = {"backward": self.backward, "add": attention}
            if encoded:
                below = encoded[-1]
                sequence = layer(layer.drives(below.hidden), below.cell, **options)
            else:
                sequence = layer(drives, **options)
            encoded.append(sequence)
        inputs = encoded[-1].hidden

        if self.decoder_input == "zeros":
            # No constants: OpenVINO writes results of later steps over one.
            inputs = [0.0 * hidden for hidden in inputs]
        cells = None
        for layer, attention, sequence in zip(self.decoder, self.attention, encoded, strict=True):
            decoded = layer(
                layer.drives(inputs),
                cells,
                start=sequence.last,
                backward=not self.backward,
                # A_t of eq. (7)
                subtract=None if attention is None else at_once(attention, sequence.hidden),
            )
            inputs, cells = decoded.hidden, decoded.cell
        return inputs
