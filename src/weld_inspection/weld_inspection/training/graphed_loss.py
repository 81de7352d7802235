"""The loss of a batch and its gradient as CUDA graphs.

Kernel by kernel a step of a recurrent network is thousands of them, which take several times longer
to be launched one by one than to run.
"""

import torch
from torch import Tensor, nn

from weld_inspection.errors import InspectionError, first_line
from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.segmentation_network import SegmentationNetwork


def can_be_graphed(network: SegmentationNetwork) -> bool:
    """Whether a network does the same for every batch, so that it can be recorded."""
    return network.works_alike and type(network).loss is SegmentationNetwork.loss


class GraphedLoss:
    """What `network.loss` gives for the largest batches that have come, recorded at the first one.

    A smaller one, as the last of an epoch may be, is computed as ever. (After a break it may come
    first, and is recorded until a larger one is.)
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        """Records at the first call.

        Args:
            network: On a CUDA card from the first call on, and one that `can_be_graphed`.
        """
        self._loss = BatchLoss(network)
        self._recorded: nn.Module | None = None
        self._shape: torch.Size | None = None

    def __call__(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Returns the loss, a scalar.

        It and its gradient lie where the next ones will: take the step of the optimizer before
        that, and add nothing up over batches.

        Args:
            frames: (B, T, H, W, 3) uint8, RGB.
            masks: (B, T, H, W), 1 where there is a defect.

        Raises:
            InspectionError: The card cannot record it.
        """
        if self._shape is None or len(frames) > self._shape[0]:
            self._recorded = None  # its memory goes first
            self._recorded = self._record(frames, masks)
            self._shape = frames.shape
        return (self._recorded if frames.shape == self._shape else self._loss)(frames, masks)

    def _record(self, frames: Tensor, masks: Tensor) -> nn.Module:
        """Returns the recorded loss; the network's running statistics stay as they are."""
        network = self._loss.network
        kept = [(buffer, buffer.clone()) for buffer in network.buffers()]
        try:
            recorded = torch.cuda.make_graphed_callables(
                BatchLoss(network), (frames.clone(), masks.clone()), allow_unused_input=True
            )
        except RuntimeError as error:
            raise InspectionError(
                f"the card cannot record a step of {network.config.architecture} "
                f"({first_line(error)}): use smaller batches, or set works_alike of the "
                "network to False where its work depends on what it sees"
            ) from error
        for buffer, value in kept:
            buffer.copy_(value)
        return recorded


class BatchLoss(nn.Module):
    """A network's loss as a module of its own, which a record replaces."""

    def __init__(self, network: SegmentationNetwork) -> None:
        """Wraps a network."""
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, masks: Tensor) -> Tensor:
        """Returns the loss, as of GraphedLoss."""
        return self.network.loss(normalise(frames.permute(0, 1, 4, 2, 3)), masks)
