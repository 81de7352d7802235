import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import NETWORKS, build_network

SMALL = {"channels": 4, "width": 24, "height": 18}
BI_CRRN = ["bi_crrn_e", "bi_crrn_e_attn", "bi_crrn_ed", "bi_crrn_ed_attn"]
CRRN = ["crrn", "crrn_attn", "conv_lstm"]
TEMPORAL = [*BI_CRRN, *CRRN, "cnn_3d"]
BY_FRAME = ["unet", "deeplab_v3", "mask_rcnn"]
ALL = [*TEMPORAL, *BY_FRAME]


def small(name, **options):
    torch.manual_seed(5)
    return build_network(NetworkConfig(name, **(SMALL | options))).eval()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("steps", "height", "width"), [(1, 16, 16), (2, 17, 31), (3, 90, 160), (5, 23, 18)]
)
def test_any_window_and_size(name, steps, height, width):
    with torch.no_grad():
        logits = small(name)(torch.randn(2, steps, 3, height, width))
    assert logits.shape == (2, steps, 2, height, width)


@pytest.mark.parametrize("options", [{"in_channels": 1}, {"layers": 1}, {"layers": 3}])
@pytest.mark.parametrize("name", TEMPORAL)
def test_other_channels_and_depths(name, options):
    channels = options.get("in_channels", 3)
    with torch.no_grad():
        assert small(name, **options)(torch.randn(1, 2, channels, 18, 24)).shape[2] == 2


def changed_at(network, layer_output, time, steps=5):
    """Times at which an inner result changes when the frame at `time` does."""
    results = []
    layer_output.register_forward_hook(lambda module, args, output: results.append(output.hidden))
    frames = torch.randn(1, steps, 3, 18, 24)
    other = frames.clone()
    other[:, time] += 1
    with torch.no_grad():
        outputs = [network(frames), network(other)]
    inner = [t for t in range(steps) if not torch.equal(results[0][t], results[1][t])]
    outer = [t for t in range(steps) if not torch.equal(outputs[0][:, t], outputs[1][:, t])]
    return inner, outer


def first_layers(network):
    if hasattr(network, "forward_layers"):
        return network.forward_layers[0], network.backward_layers[0]
    return network.forward_stack.encoder[0], network.backward_stack.encoder[0]


@pytest.mark.parametrize("name", ALL)
def test_looks_at_single_frames_serve_every_window_they_lie_in(name):
    network = small(name)
    frames = torch.randn(7, 3, 18, 24)
    with torch.no_grad():
        looks = [network.look(frame[None]) for frame in frames]  # one at a time, as they come
        for first in (0, 2):
            given, state = [], None
            for look in looks[first : first + 5]:
                added, state = network.advance(look, state)
                given.append(added)
            judged = network.judge(looks[first : first + 5], given, state, (18, 24))
            whole = network(frames[None, first : first + 5])
            torch.testing.assert_close(judged, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BI_CRRN)
def test_forward_ignores_later_frames_and_backward_earlier_ones(name):
    network = small(name)
    assert changed_at(network, first_layers(network)[0], time=2)[0] == [2, 3, 4]
    network = small(name)
    assert changed_at(network, first_layers(network)[1], time=2)[0] == [0, 1, 2]


@pytest.mark.parametrize("name", BI_CRRN)
@pytest.mark.parametrize("time", [0, 4])
def test_output_sees_both_directions(name, time):
    network = small(name)
    assert changed_at(network, first_layers(network)[0], time)[1] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", CRRN)
def test_one_direction_encodes_forwards_and_decodes_back(name):
    network = small(name)
    assert changed_at(network, network.stack.encoder[0], time=2)[0] == [2, 3, 4]
    network = small(name)
    # The decoder starts from the encoder's end and so knows of every frame.
    inner, outer = changed_at(network, network.stack.decoder[0], time=4)
    assert inner == outer == [0, 1, 2, 3, 4]


def test_conv_lstm_is_crrn_without_memory_from_below():
    crrn, conv_lstm = small("crrn"), small("conv_lstm")
    missing = conv_lstm.load_state_dict(crrn.state_dict(), strict=False)
    assert not missing.missing_keys
    assert all("mix" in name for name in missing.unexpected_keys)
    frames = torch.randn(1, 3, 3, 18, 24)
    identity = torch.eye(4).reshape(4, 4, 1, 1)
    with torch.no_grad():
        assert not torch.allclose(crrn(frames), conv_lstm(frames))
        for name, parameter in crrn.named_parameters():
            if "mix_cell" in name:
                parameter.copy_(identity)
            elif "mix_lower" in name:
                parameter.zero_()
        torch.testing.assert_close(crrn(frames), conv_lstm(frames))


def test_3d_cnn_sees_the_whole_window():
    network = small("cnn_3d").train()  # untrained, its statistics would hide a frame's change
    frames = torch.randn(1, 5, 3, 18, 24, requires_grad=True)
    network(frames)[:, 0].square().sum().backward()
    assert all(frames.grad[0, t].abs().sum() > 0 for t in range(5))


@pytest.mark.parametrize("name", BY_FRAME)
def test_frames_are_looked_at_one_by_one(name):
    network = small(name)
    frames = torch.randn(2, 3, 3, 18, 24)
    with torch.no_grad():
        together = network(frames)
        for t in range(3):
            torch.testing.assert_close(network(frames[:, t : t + 1])[:, 0], together[:, t])


@pytest.mark.parametrize("name", BY_FRAME)
def test_networks_of_single_frames_are_of_the_temporal_ones_size(name):
    network = build_network(NetworkConfig(name))
    assert 2e6 < sum(p.numel() for p in network.parameters()) < 8e6
    grey = build_network(NetworkConfig(name, in_channels=1, channels=8)).eval()
    assert grey(torch.randn(1, 1, 1, 16, 16)).shape == (1, 1, 2, 16, 16)


def test_decoders_run_against_their_encoders():
    network = small("bi_crrn_ed")
    # The forward encoder's decoder starts from the encoder's end: it knows all frames everywhere.
    assert changed_at(network, network.forward_stack.decoder[0], time=4)[0] == [0, 1, 2, 3, 4]
    # What the encoder hands up at t = 4 alone reaches t < 4 only through a decoder that runs back.
    network = small("bi_crrn_ed")
    stack = network.forward_stack
    runs = []
    handle = stack.encoder[-1].register_forward_hook(
        lambda module, args, output: output._replace(hidden=bump(output.hidden, 2))
    )
    stack.decoder[0].register_forward_hook(lambda module, args, output: runs.append(output.hidden))
    frames = torch.randn(1, 5, 3, 18, 24)
    with torch.no_grad():
        network(frames)
        handle.remove()
        network(frames)
    assert [t for t in range(5) if not torch.equal(runs[0][t], runs[1][t])] == [0, 1, 2]


def bump(hidden, time):
    return [state + 1 if t == time else state for t, state in enumerate(hidden)]


@pytest.mark.parametrize("base", ["bi_crrn_e", "bi_crrn_ed", "crrn"])
def test_attention_off_equals_the_network_without_it(base):
    plain, attended = small(base), small(f"{base}_attn")
    attended.load_state_dict(plain.state_dict(), strict=False)
    frames = torch.randn(1, 3, 3, 18, 24)
    with torch.no_grad():
        assert not torch.allclose(plain(frames), attended(frames))
        for name, parameter in attended.named_parameters():
            if "attention" in name:
                parameter.zero_()  # A_t = tanh(0) = 0
        torch.testing.assert_close(plain(frames), attended(frames))


@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_every_parameter(name):
    network = small(name).train()
    masks = torch.zeros(2, 3, 18, 24)
    masks[..., 4:12, 6:18] = 1
    network.loss(torch.randn(2, 3, 3, 18, 24), masks).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name


def test_peephole_none_has_no_peepholes():
    names = [name for name, _ in small("bi_crrn_e", peephole="none").named_parameters()]
    assert not any("peephole" in name for name in names)


def test_decoder_input_zeros_differs():
    frames = torch.randn(1, 3, 3, 18, 24)
    encoder, zeros = small("bi_crrn_ed"), small("bi_crrn_ed", decoder_input="zeros")
    zeros.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        assert not torch.allclose(encoder(frames), zeros(frames))


@pytest.mark.parametrize("name", ["bi_crrn_ed_attn", "bi_crrn_e", "crrn", "cnn_3d"])
@pytest.mark.parametrize(
    ("before", "option", "new", "begins"),
    [
        ({}, {"skip": True}, {"skip"}, "skip.convolution"),
        ({}, {"unet_channels": 3}, {"spatial_decoder", "unet"}, "spatial_decoder.fourth"),
        (
            {"skip": True},
            {"unet_channels": 3},
            {"spatial_decoder", "unet"},
            "spatial_decoder.fourth",
        ),
    ],
)
@pytest.mark.parametrize("size", [(18, 24), (19, 25)])
def test_what_is_led_past_begins_as_none_and_then_knows_of_its_own_frame(
    name, before, option, new, begins, size
):
    plain, network = small(name, **before).eval(), small(name, **before, **option).eval()
    missing, _ = network.load_state_dict(plain.state_dict(), strict=False)
    assert {key.split(".")[0] for key in missing} == new and f"{begins}.weight" in missing
    if "skip" in option:
        assert missing == ["skip.convolution.weight"]
    frames = torch.randn(2, 3, 3, *size)
    with torch.no_grad():
        assert torch.equal(network(frames), plain(frames))
        network.get_submodule(begins).weight.normal_()
        features = network.features(frames)
        assert not torch.allclose(network(frames), plain(frames))
        features[-1][1][:] = 0  # what is led past at t = 2
        changed = network.decode(features, size) != network(frames)
    assert changed.flatten(2).any(2).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize("name", ["unet", "mask_rcnn"])
@pytest.mark.parametrize("option", [{"skip": True}, {"unet_channels": 8}])
def test_a_network_without_s_encoder_leads_nothing_past_it(name, option):
    with pytest.raises(InspectionError, match=f"{name} has no S-Encoder.*{[*option][0]} out"):
        small(name, **option)


def parameters_by_hand(name, c=64, k=5):
    """Counts of the paper's sizes: 2 CSTM layers, 64 channels, 5x5 kernels, RGB."""
    batch_norm = 2 * c
    s_encoder = 3 * c * k * k + batch_norm + c * c * k * k + batch_norm
    s_decoder = c * c * k * k + batch_norm + c * 2 * k * k + 2
    merge = 2 * c * c
    gates = 4 * (c * c * k * k + c) + 4 * c * c * k * k  # W with bias, U
    first = gates + 3 * c  # peepholes
    second = first + 2 * c * c  # W_1x1
    attention = 2 * (c * k * k + 1) if name.endswith("attn") else 0  # of a direction
    temporal = {
        "bi_crrn_e": 2 * (first + second + attention) + 3 * merge,
        "bi_crrn_ed": 2 * (2 * (first + second) + attention) + merge,
        "crrn": 2 * (first + second) + attention,
        "conv_lstm": 2 * (first + first),
        "cnn_3d": 4 * (c * c * 3 * k * k + batch_norm),
    }[name.removesuffix("_attn")]
    return s_encoder + temporal + s_decoder


@pytest.mark.parametrize("name", TEMPORAL)
def test_parameter_count(name):
    network = build_network(NetworkConfig(name))
    assert sum(p.numel() for p in network.parameters()) == parameters_by_hand(name)


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "resnet"},
        {"architecture": "bi_crrn_e", "width": 15},
        {"architecture": "bi_crrn_e", "kernel_size": 4},
        {"architecture": "bi_crrn_e", "window": 0},
        {"architecture": "bi_crrn_e", "peephole": "some"},
        {"architecture": "bi_crrn_e", "skip": "yes"},
        {"architecture": "bi_crrn_e", "unet_channels": -1},
        {"architecture": "bi_crrn_e", "unet_channels": 1.5},
        {"architecture": "bi_crrn_e", "color": "red"},
        {},
    ],
)
def test_bad_options_are_one_clear_error(options):
    with pytest.raises(InspectionError):
        build_network(NetworkConfig.from_dict(options))


def test_registry_holds_the_paper_names():
    assert set(ALL) == set(NETWORKS)
