"""CSTM against eq. (1) of the paper written out in loops, as an independent measure."""

import math

import numpy as np
import pytest
import torch

from weld_inspection.networks.cstm import CSTM, AttentionMap, State

CHANNELS, KERNEL, HEIGHT, WIDTH = 3, 5, 6, 7


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Correlates x (C, h, w) with weight (O, C, k, k), zero padded to the same size."""
    outputs, channels, k, _ = weight.shape
    _, height, width = x.shape
    half = k // 2
    result = np.zeros((outputs, height, width))
    for o in range(outputs):
        for y in range(height):
            for z in range(width):
                total = 0.0 if bias is None else float(bias[o])
                for c in range(channels):
                    for dy in range(k):
                        for dz in range(k):
                            yy, zz = y + dy - half, z + dz - half
                            if 0 <= yy < height and 0 <= zz < width:
                                total += float(weight[o, c, dy, dz]) * float(x[c, yy, zz])
                result[o, y, z] = total
    return result


def cstm_step(
    weights: dict[str, np.ndarray],
    lower_hidden: np.ndarray,
    lower_cell: np.ndarray | None,
    hidden: np.ndarray,
    cell: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """One step for one sample, every state (C, h, w).

    Args:
        weights: W_g, W_i, W_f, W_o (C, C, k, k), b_g ... b_o (C), U_g ... U_o, P_i, P_f, P_o (C)
            and, with a lower cell, W_1x1 (C, 2C).
        lower_hidden: H_t^{l-1}.
        lower_cell: C_t^{l-1}, or None.
        hidden: H_{t-1}^l.
        cell: C_{t-1}^l.

    Returns:
        H_t^l and C_t^l.
    """
    gate = {
        name: convolve(lower_hidden, weights[f"W_{name}"], weights[f"b_{name}"])
        + convolve(hidden, weights[f"U_{name}"], None)
        for name in "gifo"
    }
    channels, height, width = cell.shape
    new_hidden, new_cell = np.zeros_like(cell), np.zeros_like(cell)
    for c in range(channels):
        for y in range(height):
            for z in range(width):
                old = cell[c, y, z]
                g = math.tanh(gate["g"][c, y, z])
                i = sigmoid(gate["i"][c, y, z] + weights["P_i"][c] * old)
                f = sigmoid(gate["f"][c, y, z] + weights["P_f"][c] * old)
                memory = old
                if lower_cell is not None:
                    memory = 0.0
                    for k in range(channels):
                        memory += weights["W_1x1"][c, k] * cell[k, y, z]
                        memory += weights["W_1x1"][c, channels + k] * lower_cell[k, y, z]
                value = f * memory + i * g
                o = sigmoid(gate["o"][c, y, z] + weights["P_o"][c] * value)
                new_cell[c, y, z] = value
                new_hidden[c, y, z] = o * math.tanh(value)
    return new_hidden, new_cell


def random_cstm(lower_cell: bool) -> CSTM:
    torch.manual_seed(3)
    layer = CSTM(CHANNELS, KERNEL, lower_cell=lower_cell, peephole="channel")
    with torch.no_grad():
        layer.peephole.normal_()
    return layer


def named_weights(layer: CSTM) -> dict[str, np.ndarray]:
    weights = {}
    chunks = (
        layer.from_input.weight.chunk(4),
        layer.from_input.bias.chunk(4),
        layer.from_hidden.weight.chunk(4),
    )
    for index, name in enumerate("gifo"):
        for prefix, values in zip("WbU", chunks, strict=True):
            weights[f"{prefix}_{name}"] = values[index].detach().numpy()
    for index, name in enumerate("ifo"):
        weights[f"P_{name}"] = layer.peephole[index, :, 0, 0].detach().numpy()
    if layer.mix_cell is not None:
        halves = (layer.mix_cell.weight, layer.mix_lower.weight)
        weights["W_1x1"] = torch.cat(halves, 1)[:, :, 0, 0].detach().numpy()
    return weights


@pytest.mark.parametrize("lower_cell", [False, True])
def test_two_steps_equal_equation_1_in_loops(lower_cell):
    layer = random_cstm(lower_cell)
    inputs = torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH).unbind()
    lower = torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH).unbind() if lower_cell else None
    start = State(*torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH))

    with torch.no_grad():
        result = layer(layer.drives(inputs), lower, start=start)

    hidden, cell = start.hidden[0].numpy(), start.cell[0].numpy()
    for t in range(2):
        hidden, cell = cstm_step(
            named_weights(layer),
            inputs[t][0].numpy(),
            lower[t][0].numpy() if lower_cell else None,
            hidden,
            cell,
        )
        np.testing.assert_allclose(result.hidden[t][0].numpy(), hidden, atol=1e-5)
        np.testing.assert_allclose(result.cell[t][0].numpy(), cell, atol=1e-5)
    assert torch.equal(result.last.hidden, result.hidden[-1])


def test_forget_gate_starts_open_and_peepholes_closed():
    torch.manual_seed(0)
    layer = CSTM(64, KERNEL, lower_cell=False, peephole="channel")
    biases = layer.from_input.bias.detach().chunk(4)
    assert biases[2].mean() == pytest.approx(1.0, abs=0.05)
    assert biases[0].mean() == pytest.approx(0.0, abs=0.05)
    assert not layer.peephole.any()


def test_backward_is_forward_on_reversed_time():
    layer = random_cstm(lower_cell=True)
    inputs, lower = (part.unbind() for part in torch.randn(2, 4, 2, CHANNELS, HEIGHT, WIDTH))
    backward = layer(layer.drives(inputs), lower, backward=True)
    forward = layer(layer.drives(inputs[::-1]), lower[::-1])
    torch.testing.assert_close(backward.hidden, forward.hidden[::-1])
    torch.testing.assert_close(backward.cell, forward.cell[::-1])
    assert torch.equal(backward.last.cell, backward.cell[0])


def test_attention_recurs_but_does_not_go_up():
    torch.manual_seed(1)
    layer, attention = random_cstm(lower_cell=False), AttentionMap(CHANNELS, KERNEL)
    drives = layer.drives(torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH).unbind())
    plain, attended = layer(drives), layer(drives, add=attention)
    # The first step starts from the same zeros; the second one has A_1 added to its state.
    torch.testing.assert_close(attended.hidden[0], plain.hidden[0])
    a_1 = attention(plain.hidden[0])
    second = layer(drives[1:], start=State(plain.hidden[0] + a_1, plain.cell[0]))
    torch.testing.assert_close(attended.hidden[1], second.hidden[0])
    torch.testing.assert_close(
        attended.last.hidden, attended.hidden[1] + attention(attended.hidden[1])
    )


def test_subtracted_attention_recurs_with_the_map_of_its_own_time():
    layer = random_cstm(lower_cell=False)
    maps = torch.randn(2, 1, 1, HEIGHT, WIDTH).unbind()
    drives = layer.drives(torch.randn(2, 1, CHANNELS, HEIGHT, WIDTH).unbind())
    result = layer(drives, backward=True, subtract=maps)
    last = layer(drives[1:])  # t = 2 runs first and from zeros
    start = State(last.hidden[0] - maps[1], last.cell[0])
    torch.testing.assert_close(result.hidden[0], layer(drives[:1], start=start).hidden[0])
