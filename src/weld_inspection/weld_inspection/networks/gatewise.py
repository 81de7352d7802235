"""CSTM with a convolution for each gate: the form that inference libraries compute fastest.

Fused gates are one large convolution, which is what training likes. A library that compiles the
graph ahead would rather have four: what follows a gate is then computed with its convolution, and
nothing has to be taken apart.

Such libraries convolve tensors whose channels lie side by side, but what a graph reads and gives
lies as its axes say. So the channels are the last axis of what one graph hands to another: of
drives, of states, and of what bi_crrn's `merge_part` gives. And OpenVINO does elementwise
operations in the layout that most of their inputs have. Where all of these came from another graph,
a step would be laid out anew, and so would each later one: so a state from elsewhere, and the drive
of a first step, go through a convolution that leaves them as they are.
"""

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from weld_inspection.networks.cstm import CSTM, State, added, remember

GATES = "gifo"  # the order in which CSTM's fused convolutions hold them
LARGEST_VALUE = 20.0  # whose tanh is 1 in fp32; exp of twice as much leaves room for the gate
Network = TypeVar("Network", bound=nn.Module)


class GatewiseCSTM(CSTM):
    """Computes what the layer computes that it is made of; not for training."""

    def __init__(self, layer: CSTM) -> None:
        """Takes over a layer's weights, which are copied."""
        nn.Module.__init__(self)
        self.from_input = nn.ModuleDict(split_gates(layer.from_input))  # W_g, W_i, W_f, W_o
        self.from_hidden = nn.ModuleDict(split_gates(layer.from_hidden))  # U_g, U_i, U_f, U_o
        self.mix_cell, self.mix_lower = layer.mix_cell, layer.mix_lower
        self.peephole = layer.peephole
        channels = layer.from_hidden.in_channels
        self.register_buffer("ones", torch.ones(channels, 1, 1, 1), persistent=False)

    def drive(self, inputs: Tensor) -> Tensor:
        """See CSTM; (4N, h, w, C), the gates one after the other."""
        return torch.cat([self.from_input[gate](inputs) for gate in GATES]).permute(0, 2, 3, 1)

    def drives(self, inputs: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], ...]:
        """See CSTM; gate by gate, and frame by frame: to put them together and apart costs more."""
        return tuple(tuple(self.from_input[gate](frame) for gate in GATES) for frame in inputs)

    def mix_lower_cells(self, cells: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """See CSTM; frame by frame, too."""
        return tuple(self.mix_lower(cell) for cell in cells)

    def begin(self, state: State | None) -> State | None:
        """See CSTM."""
        if state is None:
            return None
        return State(*(self._convolved(tensor.permute(0, 3, 1, 2)) for tensor in state))

    def end(self, state: State) -> State:
        """See CSTM; (N, h, w, C) each."""
        return State(*(tensor.permute(0, 2, 3, 1) for tensor in state))

    def recur(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See CSTM; gate by gate."""
        return tuple(self.from_hidden[gate](hidden) for gate in GATES)

    def update(
        self,
        drive: Tensor | tuple[Tensor, ...],
        recurrent: tuple[Tensor, ...] | None,
        memories: tuple[Tensor, Tensor] | None,
        lower: Tensor | None,
        peephole: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """See CSTM; of what `drive` or `drives` gave."""
        gates = drive
        if isinstance(drive, Tensor):
            gates = tuple(part.permute(0, 3, 1, 2) for part in drive.chunk(len(GATES)))
            if recurrent is None:
                gates = tuple(self._convolved(gate) for gate in gates)
        if recurrent is not None:
            gates = tuple(torch.add(*pair) for pair in zip(gates, recurrent, strict=True))
        before, memory = memories or (None, None)
        return remember(gates, before, added(memory, lower), peephole, gated)

    def _convolved(self, tensor: Tensor) -> Tensor:
        """The same tensor, as what a convolution gives."""
        return functional.conv2d(tensor, self.ones, groups=len(self.ones))


def gated(value: Tensor, gate: Tensor) -> Tensor:
    """As `cstm.gated`, with one division instead of two."""
    power = torch.exp(2 * value.clamp(-LARGEST_VALUE, LARGEST_VALUE))
    return (power - 1) / ((power + 1) * (torch.exp(-gate) + 1))


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
