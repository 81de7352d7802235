"""bi-CRRN-ED, eq. (4) to (7): an ST-Encoder and an ST-Decoder in each direction of time."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from weld_inspection.networks.bi_crrn import BiCrrn, merge_part
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.encoder_decoder import EncoderDecoder
from weld_inspection.networks.segmentation_network import Causal, Part, Track


class BiCrrnEd(BiCrrn):
    """The more accurate network: two independent encoder-decoder stacks."""

    def __init__(self, config: NetworkConfig, *, attention: bool = False) -> None:
        """Makes the network, with ST-Attention between encoders and decoders if `attention`."""
        super().__init__(config)
        self.forward_stack, self.backward_stack = (
            EncoderDecoder(
                self._stack(),
                self._stack(),
                self._attention(attention),
                backward=backward,
                decoder_input=config.decoder_input,
            )
            for backward in (False, True)
        )

    def drive(self, features: Tensor) -> list[Tensor]:
        """See WindowNetwork."""
        return [self.forward_stack.drive(features), self.backward_stack.drive(features)]

    def causal(self) -> Causal:
        """See SegmentationNetwork: the forward stack up to its decoder's recurrence."""
        return Causal(self.forward_stack.run_ahead, self.forward_stack.run_frame_ahead, (0,))

    def stages(self) -> list[tuple[Part, ...]]:
        """See SegmentationNetwork: the forward stack is ahead of the other by an encoder.

        The backward decoder then runs alone, on all cores.
        """
        backward = self.look_count + self.forward_stack.encoded_tracks  # number of its first track
        end = backward + self.backward_stack.encoded_tracks
        decode = partial(self._decode, False, self.forward_stack.decode)
        decode_backward = partial(self._decode, True, self.backward_stack.drive_and_decode)
        return [
            (
                Part(self.backward_stack.encode, (1,)),
                Part(decode, tuple(range(self.look_count, backward))),
            ),
            (Part(decode_backward, tuple(range(backward, end))),),
        ]

    def _decode(self, backward: bool, decode: Callable[..., Track], *encoded: Track) -> list[Track]:
        """Runs a direction's decoder, and its part of what goes to the S-Decoder."""
        return [merge_part(self.top, decode(*encoded), backward=backward)]
