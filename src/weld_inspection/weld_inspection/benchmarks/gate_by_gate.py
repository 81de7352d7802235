"""Eq. (1) of the paper as it is printed, one convolution a term: the peer of every speed figure."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from weld_inspection.errors import InspectionError
from weld_inspection.networks.cstm import CSTM, AttentionMap, LayerOutput, State
from weld_inspection.networks.gatewise import GATES, replace_layers, split_gates
from weld_inspection.networks.segmentation_network import SegmentationNetwork

Network = TypeVar("Network", bound=SegmentationNetwork)


class GateByGate(nn.Module):
    """A CSTM layer that computes eq. (1) term by term and step by step; takes CSTM's arguments."""

    def __init__(self, layer: CSTM) -> None:
        """Takes over the weights of a layer.

        Args:
            layer: Keeps its own copy.
        """
        super().__init__()
        self.from_input = nn.ModuleDict(split_gates(layer.from_input))  # W_g, W_i, W_f, W_o
        self.from_hidden = nn.ModuleDict(split_gates(layer.from_hidden))  # U_g, U_i, U_f, U_o
        self.mix = None  # W_1x1
        if layer.mix_cell is not None:
            channels = layer.mix_cell.out_channels
            self.mix = nn.Conv2d(2 * channels, channels, 1, bias=False)
            halves = (layer.mix_cell.weight, layer.mix_lower.weight)
            self.mix.weight = nn.Parameter(torch.cat(halves, 1).detach().clone())
        self.peephole = None  # P_i, P_f, P_o
        if layer.peephole is not None:
            self.peephole = nn.Parameter(layer.peephole.detach().clone())

    def step(self, inputs: Tensor, lower: Tensor | None, state: State) -> State:
        """One time step: H_t^l and C_t^l of H_t^{l-1}, C_t^{l-1} and the state before."""
        hidden, cell = state
        g, i, f, o = (
            self.from_input[gate](inputs) + self.from_hidden[gate](hidden) for gate in GATES
        )
        if self.peephole is not None:
            i = i + self.peephole[0] * cell
            f = f + self.peephole[1] * cell
        memory = cell if self.mix is None else self.mix(torch.cat((cell, lower), 1))
        new = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        if self.peephole is not None:
            o = o + self.peephole[2] * new
        return State(torch.sigmoid(o) * torch.tanh(new), new)

    def drive(self, inputs: Tensor) -> Tensor:
        """See CSTM; here nothing is done ahead."""
        return inputs

    def drives(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """See CSTM."""
        return inputs

    def forward(
        self,
        inputs: Sequence[Tensor],
        lower_cells: Sequence[Tensor] | None = None,
        *,
        start: State | None = None,
        backward: bool = False,
        add: AttentionMap | None = None,
        subtract: Sequence[Tensor] | None = None,
    ) -> LayerOutput:
        """See CSTM."""
        steps = len(inputs)
        zeros = torch.zeros_like(inputs[0])
        state = start or State(zeros, zeros)
        told: dict[int, State] = {}
        maps: dict[int, Tensor] = {}
        for t in reversed(range(steps)) if backward else range(steps):
            state = self.step(inputs[t], None if self.mix is None else lower_cells[t], state)
            told[t] = state
            if add is not None:
                maps[t] = add(state.hidden)
                state = State(state.hidden + maps[t], state.cell)
            elif subtract is not None:
                state = State(state.hidden - subtract[t], state.cell)
        hidden, cells = zip(*(told[t] for t in range(steps)), strict=True)
        return LayerOutput(hidden, cells, state, tuple(maps[t] for t in sorted(maps)))


def written_out(network: Network) -> Network:
    """Returns a copy of a network, of the same weights, whose CSTM layers are GateByGate.

    Raises:
        InspectionError: It has no CSTM layer, and would be its own peer.
    """
    if not any(type(module) is CSTM for module in network.modules()):
        raise InspectionError(
            f"{network.config.architecture} has no layer of eq. (1) to write out: give a network "
            "that has"
        )
    return replace_layers(network, CSTM, GateByGate)
