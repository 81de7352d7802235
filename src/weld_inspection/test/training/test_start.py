"""What a training starts from, and what it can be taught."""

import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import save_model
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


def test_encoders_of_an_e_read_their_own_direction_as_the_e_does(model):
    """With nothing from the other direction, an E's layers are the ED's encoders."""
    path, source = model
    target = small("bi_crrn_ed_attn")
    take_over(target, path)
    target.eval()
    with torch.no_grad():
        for merges in (source.merge_hidden, source.merge_cell):
            merges[0].weight[:, 4:] = 0.0
        looks = source.look(FRAMES[0])
        lowest = source.forward_layers[0](looks[0].split(1))
        (inputs, cells) = source._merge_layers(
            0, lowest.hidden, lowest.cell, lowest.hidden, lowest.cell
        )
        upper = source.forward_layers[1]
        wanted = upper(upper.drives(inputs), cells)
        encoder = target.forward_stack.encoder
        own = encoder[0](target.look(FRAMES[0])[0].split(1))
        got = encoder[1](encoder[1].drives(own.hidden), own.cell)
    for one, other in zip(got.hidden + got.cell, wanted.hidden + wanted.cell, strict=True):
        torch.testing.assert_close(one, other)


def test_new_decoders_hand_on_what_they_read(model):
    path, _ = model

    def likeness(network):
        """Correlation of what a stack gives and what its encoder gives, over place and time."""
        encoder, stack = network.eval().forward_stack.encoder, network.forward_stack
        with torch.no_grad():
            drives = network.look(FRAMES[0])[0].split(1)
            below = encoder[0](drives)
            given = encoder[1](encoder[1].drives(below.hidden), below.cell).hidden
            pair = [torch.cat(tuple(frames)) for frames in (given, stack(drives))]
        pair = [(part - part.mean((0, 2, 3), keepdim=True)).flatten() for part in pair]
        return torch.corrcoef(torch.stack(pair))[0, 1].item()

    torch.manual_seed(5)
    target = small("bi_crrn_ed_attn")
    assert abs(likeness(target)) < 0.3
    take_over(target, path)
    assert likeness(target) > 0.6


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


def test_statistics_that_were_taken_over_are_kept_and_others_not(model):
    path, _ = model
    config = TrainingConfig(data=("clips",))
    batch = {"frames": torch.randint(0, 256, (2, 4, 18, 24, 3), dtype=torch.uint8)}
    batch["masks"] = torch.zeros(2, 4, 18, 24, dtype=torch.uint8)
    for taken_over in (True, False):
        network = small("cnn_3d")
        taken = take_over(network, path) if taken_over else set()
        module = WindowSegmentation(network, config, taken_over=frozenset(taken)).train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        network(module._frames(batch))
        changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
        spatial = {name for name in changed if name.startswith("spatial_")}
        assert bool(spatial) != taken_over
        assert changed - spatial  # those of the 3-D layers are its own


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
                torch.cat(tuple(n.eval().features(module._frames(batch))))
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
