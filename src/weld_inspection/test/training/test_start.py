"""What a training starts from, and what it can be taught."""

import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.bi_crrn import merge, merge_part
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import save_model, store_threshold
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.module import WindowSegmentation
from weld_inspection.training.start import take_over

FRAMES = torch.randn(2, 4, 3, 18, 24, generator=torch.Generator().manual_seed(1))


def small(name, **options):
    return build_network(
        NetworkConfig(name, **({"channels": 4, "width": 24, "height": 18} | options))
    )


def saved(path, name="bi_crrn_e", **options):
    torch.manual_seed(0)
    network = small(name, **options)
    for parameter in network.parameters():
        if parameter.ndim > 1:  # states that differ from place to place, as after a training
            torch.nn.init.normal_(parameter, std=2.0 / parameter[0].numel() ** 0.5)
    with torch.no_grad():
        for _ in range(20):
            network.train()(FRAMES)
    save_model(path, network.eval())
    return network


@pytest.fixture
def model(tmp_path):
    """A bi-CRRN-E's file and the network."""
    path = tmp_path / "e.safetensors"
    return path, saved(path)


def test_what_fits_is_taken_over_and_nothing_else(model, tmp_path):
    path, source = model
    target = small("crrn")
    before = target.stack.encoder[0].from_input.weight.clone()
    taken = take_over(target, path)
    assert torch.equal(
        target.spatial_encoder.layers[0].weight, source.spatial_encoder.layers[0].weight
    )
    assert torch.equal(target.stack.encoder[0].from_input.weight, before)
    assert taken and all(name.startswith("spatial_") for name in taken)
    with pytest.raises(InspectionError, match="no weights"):
        take_over(small("bi_crrn_e", channels=6, kernel_size=3, in_channels=1), path)


@pytest.mark.parametrize("half", [0, 1], ids=["forward", "backward"])
def test_encoders_of_an_e_read_their_own_direction_as_the_e_does(model, half):
    """With nothing from the other direction, an E's layers are the ED's encoders."""
    path, source = model
    target = small("bi_crrn_ed_attn")
    take_over(target, path)
    target.eval()
    layers = (source.forward_layers, source.backward_layers)[half]
    encoder = (target.forward_stack, target.backward_stack)[half].encoder
    direction = {"backward": bool(half)}
    with torch.no_grad():
        for merges in (source.merge_hidden, source.merge_cell):
            merges[0].weight[:, slice(4, 8) if half == 0 else slice(4)] = 0.0
        lowest = layers[0](source.look(FRAMES[0])[half].split(1), **direction)
        inputs, cells = (
            merge(*(merge_part(merges[0], track, backward=backward) for backward in (False, True)))
            for merges, track in (
                (source.merge_hidden, lowest.hidden),
                (source.merge_cell, lowest.cell),
            )
        )
        wanted = layers[1](layers[1].drives(inputs), cells, **direction)
        own = encoder[0](target.look(FRAMES[0])[half].split(1), **direction)
        got = encoder[1](encoder[1].drives(own.hidden), own.cell, **direction)
    for one, other in zip(got.hidden + got.cell, wanted.hidden + wanted.cell, strict=True):
        torch.testing.assert_close(one, other)


def handed_on(stack, drives):
    """What a stack's encoder gives, and what the stack gives, over place and time."""
    encoder, direction = stack.encoder, {"backward": stack.backward}
    with torch.no_grad():
        below = encoder[0](drives, **direction)
        given = encoder[1](encoder[1].drives(below.hidden), below.cell, **direction).hidden
        pair = [torch.cat(tuple(frames)) for frames in (given, stack(drives))]
    return [(part - part.mean((0, 2, 3), keepdim=True)).flatten() for part in pair]


@pytest.mark.parametrize("half", [0, 1], ids=["forward", "backward"])
def test_new_decoders_hand_on_what_they_read(model, half):
    path, source = model
    torch.manual_seed(5)
    target = small("bi_crrn_ed_attn").eval()
    stack = (target.forward_stack, target.backward_stack)[half]

    def likeness():
        pair = handed_on(stack, target.look(FRAMES[0])[half].split(1))
        scale = (pair[1].std() / pair[0].std()).item()
        return torch.corrcoef(torch.stack(pair))[0, 1].item(), scale

    assert abs(likeness()[0]) < 0.4
    take_over(target, path)
    correlation, scale = likeness()
    assert correlation > 0.6 and 0.6 < scale < 1.4
    assert torch.equal(target.top.weight, source.top.weight)
    for attention in stack.attention:
        assert not attention.convolution.weight.any() and not attention.convolution.bias.any()


def test_decoders_that_read_zeros_have_nothing_to_hand_on(model):
    path, _ = model
    target = small("bi_crrn_ed_attn", decoder_input="zeros")
    before = target.forward_stack.decoder[0].from_input.weight.clone()
    assert "forward_stack.encoder.1.from_input.weight" in take_over(target, path)
    assert torch.equal(target.forward_stack.decoder[0].from_input.weight, before)


@pytest.mark.parametrize("options", [{"layers": 1}, {"channels": 6}])
def test_an_e_of_another_size_gives_what_fits(model, options):
    path, _ = model
    target = small("bi_crrn_ed", **options)
    if "channels" in options:
        with pytest.raises(InspectionError, match="no weights"):
            take_over(target, path)
    else:
        assert all(
            name.startswith("spatial_") or name == "top.weight" for name in take_over(target, path)
        )


def test_a_teacher_shows_the_way(model):
    path, source = model
    torch.manual_seed(3)
    frames = (FRAMES.permute(0, 1, 3, 4, 2) * 40 + 128).clamp(0, 255).to(torch.uint8)
    batch = {"frames": frames, "masks": torch.zeros(2, 4, 18, 24, dtype=torch.uint8)}
    distances = []
    for teacher in ("", str(path)):
        torch.manual_seed(4)
        config = TrainingConfig(data=("clips",), teacher=teacher)
        module = WindowSegmentation(small("bi_crrn_ed_attn"), config)
        module.log = lambda *_, **__: None
        assert not any("teacher" in name for name in module.state_dict())
        optimizer = torch.optim.Adam(module.parameters(), 1e-2)
        for step in range(30):
            optimizer.zero_grad()
            module.training_step(batch, step).backward()
            optimizer.step()
        with torch.no_grad():
            one, other = (
                torch.cat(tuple(n.eval().features(module._frames(batch))[0]))
                for n in (module.network, source)
            )
        distances.append((one - other).square().mean().item())
    assert distances[1] < 0.5 * distances[0]


def test_teachers_that_cannot_teach(model, tmp_path):
    path, _ = model

    def module(network, teacher):
        return WindowSegmentation(network, TrainingConfig(data=("clips",), teacher=str(teacher)))

    with pytest.raises(InspectionError, match="must be the same"):
        module(small("bi_crrn_ed", channels=6), path)
    with pytest.raises(InspectionError, match="bi_crrn_e cannot teach unet: both must"):
        module(small("unet"), path)
    with pytest.raises(InspectionError, match="no model file"):
        module(small("bi_crrn_ed"), tmp_path / "none.safetensors")


def test_a_skip_connection_that_is_left_behind_is_told(tmp_path, caplog):
    path = tmp_path / "e.safetensors"
    saved(path, skip=True)
    take_over(small("bi_crrn_e", skip=True), path)
    assert not caplog.records
    take_over(small("bi_crrn_e"), path)
    assert "has a skip connection, and this network has none like it" in caplog.text


def test_a_unet_that_is_left_behind_is_told(tmp_path, caplog):
    path = tmp_path / "e.safetensors"
    saved(path, unet_channels=4)
    take_over(small("bi_crrn_e", unet_channels=4), path)
    assert not caplog.records
    take_over(small("bi_crrn_e"), path)
    assert "network_options: {unet_channels: 4} in --config" in caplog.text
    caplog.clear()
    take_over(small("bi_crrn_e", unet_channels=3), path)
    assert "has a U-Net beside it, and this network has none like it" in caplog.text


def test_a_second_model_gives_what_the_first_one_lacks(model, tmp_path):
    path, source = model
    frames = saved(tmp_path / "unet.safetensors", "unet")
    target = small("bi_crrn_e", unet_channels=4)
    taken = take_over(target, path)
    more = take_over(target, tmp_path / "unet.safetensors", taken)
    assert taken == set(source.state_dict()) and taken.isdisjoint(more)
    for name, value in target.state_dict().items():
        if name in taken:
            assert torch.equal(value, source.state_dict()[name])
        elif name in more:
            assert torch.equal(value, frames.state_dict()[name.replace("unet.", "network.")])
    new = ["spatial_decoder.fourth.weight", "spatial_decoder.third.weight"]
    new += ["unet.final_conv.bias", "unet.final_conv.weight"]
    assert sorted(set(target.state_dict()) - taken - more) == new
    again = target.forward_layers[0].from_input.weight.clone()
    other = tmp_path / "other.safetensors"
    saved(other, skip=True)
    with pytest.raises(InspectionError, match="no weights of .*other"):
        take_over(target, other, taken | more)
    assert torch.equal(target.forward_layers[0].from_input.weight, again)


def test_a_tuned_threshold_that_is_not_taken_over_is_told(tmp_path, caplog):
    path = tmp_path / "e.safetensors"
    saved(path)
    store_threshold(path, 0.35)
    take_over(small("bi_crrn_e"), path)
    assert "has threshold 0.35, tuned for its weights" in caplog.text
    assert "`evaluate --tune`" in caplog.text
