"""An ST-Encoder and the ST-Decoder that undoes it, in one direction of time, eq. (4) to (7)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from weld_inspection.networks.cstm import FrameOutput, LayerOutput, State
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

    @property
    def encoded_tracks(self) -> int:
        """Number of the tracks that `encode` gives; `run_ahead` gives as many."""
        return 2 + sum(attention is not None for attention in self.attention)

    def forward(self, drives: Track) -> Track:
        """Returns the decoder's top hidden states.

        Args:
            drives: What `drive` gave for t = 1..T, (B, 4C, h, w) each.

        Returns:
            (B, C, h, w) for t = 1..T.
        """
        return self.drive_and_decode(*self.encode(drives))

    def run_ahead(self, drives: Track) -> list[Track]:
        """Does what does not run back through time: the encoder, and what the decoder reads of it.

        Args:
            drives: As of `forward`.

        Returns:
            For `decode`: what the decoder's lowest layer makes of the encoder's top hidden states,
            see CSTM, and what else `encode` gives.
        """
        hidden, *others = self.encode(drives)
        return [self.decoder[0].drives(self._decoder_inputs(hidden)), *others]

    def run_frame_ahead(
        self, drive: Tensor, states: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Does what `run_ahead` does for one frame; T of them in the encoder's order are the same.

        Args:
            drive: What `drive` gave for the frame.
            states: After the frame before; None at the first one.

        Returns:
            The frame's tensors of what `run_ahead` gives, and the states after it.
        """
        (hidden, *maps), after = self._encode_frame(drive, states)
        return [self.decoder[0].drive(*self._decoder_inputs([hidden])), *maps], after

    def encode(self, drives: Track) -> list[Track]:
        """Runs the encoder.

        Args:
            drives: As of `forward`.

        Returns:
            Its top hidden states; with ST-Attention A_t of eq. (7), layer by layer; and the states
            after its last step, H and C of each layer one after the other.
        """
        options = [{"backward": self.backward, "add": attention} for attention in self.attention]
        encoded = _run_stack(self.encoder, drives, options)
        maps = [sequence.maps for sequence in encoded if sequence.maps]
        last = [tensor for sequence in encoded for tensor in sequence.last]
        return [encoded[-1].hidden, *maps, last]

    def _encode_frame(
        self, drive: Tensor, states: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What `encode` does, for one frame; see `run_frame_ahead`."""
        outputs: list[FrameOutput] = []
        after: list[Tensor] = []
        for number, (layer, attention) in enumerate(zip(self.encoder, self.attention, strict=True)):
            lower = None
            if outputs:
                below = outputs[-1].state
                (drive,) = layer.drives([below.hidden])
                if layer.mix_lower is not None:
                    (lower,) = layer.mix_lower_cells([below.cell])
            before = layer.begin(None if states is None else _state(states, number))
            outputs.append(layer.encode(drive, lower, before, attention))
            after += layer.end(outputs[-1].recurring)
        maps = [attended for output in outputs for attended in output.maps]
        return [outputs[-1].state.hidden, *maps], after

    def _decoder_inputs(self, hidden: Track) -> Track:
        """What the decoder's lowest layer reads where the encoder's top hidden states are these."""
        # No constants for zeros: OpenVINO writes results of later steps over one.
        return [0.0 * frame for frame in hidden] if self.decoder_input == "zeros" else hidden

    def decode(self, drives: Track, *maps_and_states: Track) -> Track:
        """Runs the decoder.

        Args:
            drives: What its lowest layer makes of its inputs for t = 1..T, see CSTM.
            maps_and_states: What else `encode` gave.

        Returns:
            Its top hidden states, (B, C, h, w) for t = 1..T.
        """
        *maps, states = maps_and_states
        options = [
            {
                "start": _state(states, number),
                "backward": not self.backward,
                "subtract": maps[number] if maps else None,
            }
            for number in range(len(self.decoder))
        ]
        return _run_stack(self.decoder, drives, options)[-1].hidden

    def drive_and_decode(self, hidden: Track, *maps_and_states: Track) -> Track:
        """`decode` of what `encode` gave."""
        drives = self.decoder[0].drives(self._decoder_inputs(hidden))
        return self.decode(drives, *maps_and_states)


def _run_stack(
    layers: nn.ModuleList, drives: Track, options: Sequence[dict[str, Any]]
) -> list[LayerOutput]:
    """Runs CSTM layers over a window, each on what the one below gives.

    Args:
        layers: Lowest first.
        drives: Of the lowest layer.
        options: Of each layer's `forward`.
    """
    outputs: list[LayerOutput] = []
    for layer, own in zip(layers, options, strict=True):
        if outputs:
            below = outputs[-1]
            outputs.append(layer(layer.drives(below.hidden), below.cell, **own))
        else:
            outputs.append(layer(drives, **own))
    return outputs


def _state(states: Sequence[Tensor], layer: int) -> State:
    """A layer's state among those of all, H and C one after the other."""
    return State(*states[2 * layer : 2 * layer + 2])
