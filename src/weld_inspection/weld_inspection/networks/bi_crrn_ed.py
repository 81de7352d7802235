"""bi-CRRN-ED, eq. (4) to (7): an ST-Encoder and an ST-Decoder in each direction of time."""

from torch import Tensor

from weld_inspection.networks.bi_crrn import BiCrrn
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.encoder_decoder import EncoderDecoder
from weld_inspection.networks.segmentation_network import Causal, Part


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

        The backward decoder then runs alone, on all cores, with `drive_decoder` before it.
        """
        looks = 2
        backward = looks + self.forward_stack.encoded_tracks  # number of its first track
        end = backward + self.backward_stack.encoded_tracks
        return [
            (
                Part(self.backward_stack.encode, (1,)),
                Part(self.forward_stack.decode, tuple(range(looks, backward))),
            ),
            (Part(self.backward_stack.drive_and_decode, tuple(range(backward, end))),),
        ]
