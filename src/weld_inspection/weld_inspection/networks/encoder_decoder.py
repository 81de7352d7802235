"""An ST-Encoder and the ST-Decoder that undoes it, in one direction of time, eq. (4) to (7)."""

from torch import Tensor, nn

from weld_inspection.networks.cstm import AttentionMap


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

    def forward(self, drive: Tensor) -> Tensor:
        """Returns the decoder's top hidden states (B, T, C, h, w) of `drive`'s (B, T, 4C, h, w)."""
        encoded = []
        for layer, attention in zip(self.encoder, self.attention, strict=True):
            options = {"backward": self.backward, "add": attention}
            if encoded:
                below = encoded[-1]
                sequence = layer(layer.drive(below.hidden), below.cell, **options)
            else:
                sequence = layer(drive, **options)
            encoded.append(sequence)
        inputs = encoded[-1].hidden

        if self.decoder_input == "zeros":
            # No constant: OpenVINO writes results of later steps over one.
            inputs = 0.0 * inputs
        cells = None
        for layer, attention, sequence in zip(self.decoder, self.attention, encoded, strict=True):
            decoded = layer(
                layer.drive(inputs),
                cells,
                start=sequence.last,
                backward=not self.backward,
                subtract=_maps(attention, sequence.hidden),
            )
            inputs, cells = decoded.hidden, decoded.cell
        return inputs


def _maps(attention: AttentionMap | None, hidden: Tensor) -> Tensor | None:
    """A_t of eq. (7) for all T, (B, T, 1, h, w)."""
    if attention is None:
        return None
    return attention(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2])
