"""CSTM with a convolution for each gate: the form that inference libraries compute fastest.

Fused gates are one large convolution, which is what training likes. A library that compiles the
graph ahead would rather have four: what follows a gate is then computed with its convolution, and
nothing has to be taken apart.
"""

import copy
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn

from weld_inspection.networks.cstm import CSTM, State

GATES = "gifo"  # the order in which CSTM's fused convolutions hold them
Network = TypeVar("Network", bound=nn.Module)


class GatewiseCSTM(CSTM):
    """Computes what the layer computes that it is made of; not for training."""

    def __init__(self, layer: CSTM) -> None:
        """Takes over a layer's weights, which are copied."""
        nn.Module.__init__(self)
        self.from_input_fused = copy.deepcopy(layer.from_input)  # W, b
        self.from_input = nn.ModuleDict(split_gates(layer.from_input))  # W_g, W_i, W_f, W_o
        self.from_hidden = nn.ModuleDict(split_gates(layer.from_hidden))  # U_g, U_i, U_f, U_o
        self.mix_cell, self.mix_lower = layer.mix_cell, layer.mix_lower
        self.peephole = layer.peephole

    def drive(self, inputs: Tensor) -> Tensor:
        """See CSTM; fused, for this is handed to another graph and fewer tensors are so sooner."""
        return self.from_input_fused(inputs)

    def drives(self, inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], ...]:
        """See CSTM; gate by gate, and frame by frame: to put them together and apart costs more."""
        return tuple(tuple(self.from_input[gate](frame) for gate in GATES) for frame in inputs)

    def gates(self, drive: Tensor | tuple[Tensor, ...], state: State | None) -> tuple[Tensor, ...]:
        """See CSTM; of what `drive` or `drives` gave."""
        parts = drive.chunk(len(GATES), dim=1) if isinstance(drive, Tensor) else drive
        if state is None:
            return parts
        return tuple(
            part + self.from_hidden[gate](state.hidden)
            for gate, part in zip(GATES, parts, strict=True)
        )


def gatewise(network: Network) -> Network:
    """Returns a copy of a network, of the same weights, whose CSTM layers are gatewise."""
    return replace_layers(network, CSTM, GatewiseCSTM)


def replace_layers(network: Network, kind: type[nn.Module], form: type[nn.Module]) -> Network:
    """Returns a copy of a network in which a `form` is made of each layer that is a `kind`."""
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if type(child) is kind:
                setattr(module, name, form(child))
    return copied


def split_gates(fused: nn.Conv2d) -> dict[str, nn.Conv2d]:
    """Returns a convolution for each gate, of one for all of them."""
    channels = fused.out_channels // len(GATES)
    parts = {}
    for number, gate in enumerate(GATES):
        rows = slice(number * channels, (number + 1) * channels)
        part = nn.Conv2d(
            fused.in_channels,
            channels,
            fused.kernel_size,
            padding=fused.padding,
            bias=fused.bias is not None,
        )
        part.weight = nn.Parameter(fused.weight[rows].detach().clone())
        if fused.bias is not None:
            part.bias = nn.Parameter(fused.bias[rows].detach().clone())
        parts[gate] = part
    return parts
