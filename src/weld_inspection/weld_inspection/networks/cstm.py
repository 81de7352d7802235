"""Convolutional spatio-temporal memory (CSTM), eq. (1) of the paper, run over a window."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

FORGET_BIAS = 1.0  # the memory starts open


class State(NamedTuple):
    """What a CSTM layer carries from one time step to the next, each (B, C, h, w)."""

    hidden: Tensor
    cell: Tensor


class LayerOutput(NamedTuple):
    """What a CSTM layer gives for a window, in order of time whatever the direction.

    Attributes:
        hidden: H_t for t = 1..T, (B, C, h, w) each.
        cell: C_t for t = 1..T, (B, C, h, w) each.
        last: The state that would recur into the step after the last one run.
        maps: A_t of an encoder's ST-Attention for t = 1..T, (B, 1, h, w) each; none without it.
    """

    hidden: tuple[Tensor, ...]
    cell: tuple[Tensor, ...]
    last: State
    maps: tuple[Tensor, ...] = ()


class FrameOutput(NamedTuple):
    """What a CSTM layer gives for a frame.

    Attributes:
        state: H_t and C_t.
        recurring: The state that recurs into the next step.
        maps: A_t of ST-Attention, (B, 1, h, w); none without it.
    """

    state: State
    recurring: State
    maps: tuple[Tensor, ...] = ()


def at_once(work: Callable[[Tensor], Tensor], frames: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Does what is done to each frame by itself to all T of them in one call.

    Args:
        work: From (N, C, h, w) to (N, K, h, w).
        frames: T tensors (B, C, h, w).

    Returns:
        T tensors (B, K, h, w).
    """
    return work(torch.cat(tuple(frames))).chunk(len(frames))


class AttentionMap(nn.Module):
    """ST-Attention, eq. (7): A_t = tanh(W_A * E_t), one map for all channels."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        """Makes W_A: one convolution from `channels` to 1, with bias."""
        super().__init__()
        self.convolution = nn.Conv2d(channels, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns A_t (B, 1, h, w) in [-1, 1] of an encoder's hidden state (B, C, h, w)."""
        return torch.tanh(self.convolution(hidden))


def gated(value: Tensor, gate: Tensor) -> Tensor:
    """Returns sigmoid(gate) o tanh(value)."""
    return torch.sigmoid(gate) * torch.tanh(value)


def remember(
    gates: Sequence[Tensor],
    before: Tensor | None,
    memory: Tensor | None,
    peephole: Tensor | None,
    gated: Callable[[Tensor, Tensor], Tensor] = gated,
) -> tuple[Tensor, Tensor]:
    """What eq. (1) does after its convolutions, pixel by pixel.

    Args:
        gates: What the convolutions give to g, i, f and o, (B, C, h, w) each.
        before: C_{t-1}^l, (B, C, h, w); None for zeros.
        memory: W_1x1 [C_{t-1}^l ; C_t^{l-1}], or C_{t-1}^l in a lowest layer; None for zeros.
        peephole: P_i, P_f and P_o, (3, C, 1, 1); None without them.
        gated: As the function above; a form of it.

    Returns:
        H_t^l and C_t^l, (B, C, h, w) each.
    """
    g, i, f, o = gates
    if before is not None and peephole is not None:
        i = i + peephole[0] * before
        f = f + peephole[1] * before
    cell = gated(g, i)
    if memory is not None:
        cell = torch.sigmoid(f) * memory + cell
    if peephole is not None:
        o = o + peephole[2] * cell
    return gated(cell, o), cell


def update(
    drive: Tensor,
    recurrent: Tensor | None,
    memories: tuple[Tensor, Tensor] | None,
    lower: Tensor | None,
    peephole: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """What eq. (1) does with what its convolutions give.

    Args:
        drive: W * H_t^{l-1} + b, (B, 4C, h, w).
        recurrent: U * H_{t-1}^l, (B, 4C, h, w); None for zeros.
        memories: C_{t-1}^l, and the first half of W_1x1 times it, or in a lowest layer itself,
            (B, C, h, w) each; None for zeros.
        lower: The second half of W_1x1 times C_t^{l-1}, (B, C, h, w); None in a lowest layer.
        peephole: As of `remember`.

    Returns:
        H_t^l, in the type of what drives it, and C_t^l.
    """
    gates = drive if recurrent is None else drive + recurrent
    before, memory = memories or (None, None)
    memory = added(memory, lower)
    hidden, cell = remember(gates.chunk(4, dim=1), before, memory, peephole)
    return hidden.to(drive.dtype), cell


def added(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Returns the sum of two tensors of which any may be None, for zeros."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


class CSTM(nn.Module):
    """One CSTM layer.

    The four gates are one convolution; what does not depend on the step before is computed for
    all T frames at once. Gates are in the order g, i, f, o of eq. (1).

    Attributes:
        update: The function above, or a form of it.
    """

    update: Callable[..., tuple[Tensor, Tensor]] = staticmethod(update)

    def __init__(self, channels: int, kernel_size: int, *, lower_cell: bool, peephole: str) -> None:
        """Makes the layer.

        Args:
            channels: C, of the input and of the states.
            kernel_size: Side of W's and U's kernels in pixels.
            lower_cell: Whether there is a layer below whose cell C_t^{l-1} is mixed in by W_1x1;
                without one, C_t = f o C_{t-1} + i o g.
            peephole: "channel" or "none", see NetworkConfig.
        """
        super().__init__()
        padding = kernel_size // 2
        self.from_input = nn.Conv2d(channels, 4 * channels, kernel_size, padding=padding)  # W, b
        self.from_hidden = nn.Conv2d(  # U
            channels, 4 * channels, kernel_size, padding=padding, bias=False
        )
        # W_1x1 (C x 2C) of eq. (1) as its two halves: only the first one has to wait for the
        # step before.
        self.mix_cell = nn.Conv2d(channels, channels, 1, bias=False) if lower_cell else None
        self.mix_lower = nn.Conv2d(channels, channels, 1, bias=False) if lower_cell else None
        self.peephole = (
            nn.Parameter(torch.zeros(3, channels, 1, 1)) if peephole == "channel" else None
        )
        with torch.no_grad():
            self.from_input.bias[2 * channels : 3 * channels] += FORGET_BIAS

    def step(self, drive: Tensor, lower: Tensor | None, state: State | None) -> State:
        """One time step of eq. (1).

        Args:
            drive: W * H_t^{l-1} + b, (B, 4C, h, w).
            lower: The second half of W_1x1 times C_t^{l-1}, (B, C, h, w); None in a lowest layer.
            state: H_{t-1}^l and C_{t-1}^l; None for zeros, whose terms are left out.

        Returns:
            H_t^l and C_t^l.
        """
        if state is None:
            return State(*self.update(drive, None, None, lower, self.peephole))
        memory = state.cell
        if self.mix_cell is not None:
            memory = self.mix_cell(memory)
        recurrent = self.recur(state.hidden)
        memories = (state.cell, memory)
        return State(*self.update(drive, recurrent, memories, lower, self.peephole))

    def recur(self, hidden: Tensor) -> Tensor:
        """Returns what the state before gives to the gates: U * H_{t-1}^l, (B, 4C, h, w)."""
        return self.from_hidden(hidden)

    def drive(self, inputs: Tensor) -> Tensor:
        """Does what does not depend on the step before: W * H_t^{l-1} + b.

        Args:
            inputs: H_t^{l-1}, (N, C, h, w), of any frames.

        Returns:
            (N, 4C, h, w).
        """
        return self.from_input(inputs)

    def drives(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Does the same for a window, for `forward`.

        Args:
            inputs: H_t^{l-1} for t = 1..T, (B, C, h, w) each.

        Returns:
            T tensors (B, 4C, h, w).
        """
        return at_once(self.drive, inputs)

    def mix_lower_cells(self, cells: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Does the second half of W_1x1.

        Args:
            cells: C_t^{l-1} for any t, (B, C, h, w) each.

        Returns:
            As many tensors of the same shape, for `encode`.
        """
        return at_once(self.mix_lower, cells)

    def begin(self, state: State | None) -> State | None:
        """Takes over a state that `end` handed on, for `encode`."""
        return state

    def end(self, state: State) -> State:
        """Hands a state on, to a layer of the same form or to another graph."""
        return state

    def forward(
        self,
        drives: Sequence[Tensor],
        lower_cells: Sequence[Tensor] | None = None,
        *,
        start: State | None = None,
        backward: bool = False,
        add: AttentionMap | None = None,
        subtract: Sequence[Tensor] | None = None,
    ) -> LayerOutput:
        """Runs the layer over a window.

        Args:
            drives: What `drive` makes of the inputs for t = 1..T, (B, 4C, h, w) each.
            lower_cells: C_t^{l-1} for t = 1..T, (B, C, h, w) each; exactly where `lower_cell` is
                on.
            start: State before the first step, of `end`; zeros if None.
            backward: Run t = T..1 instead of 1..T.
            add: ST-Attention of an encoder: the state that recurs is H_t + A_t.
            subtract: ST-Attention of a decoder: A_t for t = 1..T, (B, 1, h, w) each; the state
                that recurs is H_t - A_t.

        Returns:
            Hidden states (before any attention) and cells in order of time, and the last state, of
            `end`.
        """
        steps = len(drives)
        lower: tuple[Tensor | None, ...] = (None,) * steps
        if self.mix_lower is not None:
            lower = self.mix_lower_cells(lower_cells)
        state = self.begin(start)
        outputs: dict[int, FrameOutput] = {}
        for t in reversed(range(steps)) if backward else range(steps):
            output = outputs[t] = self.encode(drives[t], lower[t], state, add)
            state = output.recurring
            if subtract is not None:
                state = State(state.hidden - subtract[t], state.cell)
        hidden, cells = zip(*(outputs[t].state for t in range(steps)), strict=True)
        maps = tuple(attention for t in range(steps) for attention in outputs[t].maps)
        return LayerOutput(hidden, cells, self.end(state), maps)

    def encode(
        self,
        drive: Tensor,
        lower: Tensor | None,
        state: State | None,
        attention: AttentionMap | None,
    ) -> FrameOutput:
        """One time step with an encoder's ST-Attention, where there is one.

        Args:
            drive: As of `step`.
            lower: As of `step`.
            state: As of `step`.
            attention: The state that recurs is H_t + A_t.
        """
        state = self.step(drive, lower, state)
        if attention is None:
            return FrameOutput(state, state)
        attended = attention(state.hidden)
        return FrameOutput(state, State(state.hidden + attended, state.cell), (attended,))
