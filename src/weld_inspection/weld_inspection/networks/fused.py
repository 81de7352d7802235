"""CSTM layers that do what follows eq. (1)'s convolutions in one kernel, each way, on a CUDA card.

Kernel by kernel it is two dozen small ones a time step, and more for the gradient, which move as
much memory as they compute little.
"""

import logging

import torch
import torch._dynamo
from torch import Tensor

from weld_inspection.networks.cstm import CSTM, update
from weld_inspection.networks.segmentation_network import SegmentationNetwork

# A form for each combination of what there is at a step and how it lies in memory; with fewer
# allowed torch would go on without, at any time.
FORMS = 64

_logger = logging.getLogger(__name__)


def fuse_steps(network: SegmentationNetwork) -> None:
    """Lets a network's CSTM layers train with fused steps, where torch can compile them.

    Where it cannot, for want of a C compiler, say, the network stays as it is, and the log says so.

    Args:
        network: On a CUDA card.
    """
    layers = [module for module in network.modules() if type(module) is CSTM]
    if not layers:
        return
    try:
        torch.compile(torch.tanh)(torch.zeros(16, device="cuda"))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        _logger.warning("steps are not fused, and take longer: torch compiles nothing: %s", reason)
        return
    fused = FusedUpdate()
    for layer in layers:
        layer.update = fused


class FusedUpdate:
    """`cstm.update`, compiled for training and for the first size of tensors that comes.

    Others come seldom: a last, smaller batch. And validation has too little to gain.
    """

    def __init__(self) -> None:
        """Compiles at the first call."""
        torch._dynamo.config.recompile_limit = max(FORMS, torch._dynamo.config.recompile_limit)
        self._compiled = torch.compile(update, dynamic=False)
        self._shape: torch.Size | None = None

    def __call__(
        self,
        drive: Tensor,
        recurrent: Tensor | None,
        memories: tuple[Tensor, Tensor] | None,
        lower: Tensor | None,
        peephole: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """See `cstm.update`."""
        if self._shape is None and torch.is_grad_enabled():
            self._shape = drive.shape
        compiled = torch.is_grad_enabled() and drive.shape == self._shape
        work = self._compiled if compiled else update
        return work(drive, recurrent, memories, lower, peephole)
