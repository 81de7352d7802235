"""CSTM layers that do what follows eq. (1)'s convolutions in one kernel, on a CUDA card.

Else it is two dozen small ones a time step, and more for the gradient, which compute little and
move much memory.
"""

import subprocess
from typing import Any

import torch
import torch._dynamo
from torch import Tensor

from weld_inspection.networks.cstm import CSTM, update
from weld_inspection.networks.segmentation_network import SegmentationNetwork

# A form for each combination of what there is at a step and how it lies in memory, for all networks
# of the process; with fewer allowed torch would go on without, at any time.
FORMS = 64
LONGEST_REASON = 200  # characters; compilers tell more


def fuse_steps(network: SegmentationNetwork, *, training: bool) -> str:
    """Gives a network's CSTM layers fused steps, where torch can compile them.

    Args:
        network: On torch's current CUDA card by its first step.
        training: Whether the steps are those of a training.

    Returns:
        Why the network stays as it is, for want of a C compiler, say; empty where it does not.
    """
    layers = [module for module in network.modules() if type(module) is CSTM]
    if not layers:
        return ""
    sample = torch.zeros(16, device="cuda")
    try:
        torch.compile(torch.tanh)(sample)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        return f"steps take longer than they need to, for torch cannot compile them: {reason}"
    fused = FusedUpdate(training=training)
    for layer in layers:
        layer.update = fused
    return ""


class FusedUpdate:
    """`cstm.update`, compiled for the largest batch that has come.

    Others come seldom: the last, smaller one of a training's epoch, and its validation, which has
    little to gain.
    """

    def __init__(self, *, training: bool) -> None:
        """Compiles at the first call of its kind.

        Args:
            training: Whether to compile the calls with a gradient, or those without one.
        """
        torch._dynamo.config.recompile_limit = max(FORMS, torch._dynamo.config.recompile_limit)
        self._compiled = torch.compile(update, dynamic=False)
        self._training = training
        self._shape: torch.Size | None = None

    def __call__(self, drive: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        """See `cstm.update`."""
        meant = torch.is_grad_enabled() == self._training
        if meant and (self._shape is None or len(drive) > self._shape[0]):
            self._shape = drive.shape
        work = self._compiled if meant and drive.shape == self._shape else update
        return work(drive, *others)
