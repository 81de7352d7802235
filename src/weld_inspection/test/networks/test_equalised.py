import pytest
import torch

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM
from weld_inspection.networks.equalised import equalised
from weld_inspection.networks.registry import build_network

WINDOW, HEIGHT, WIDTH = 3, 18, 24


@pytest.fixture
def frames():
    return torch.rand(2 * WINDOW, 3, HEIGHT, WIDTH) * 2 - 1


def make(architecture, frames, *, skip=False):
    """A network whose S-Encoder's channels differ widely."""
    torch.manual_seed(1)
    config = NetworkConfig(
        architecture, channels=4, width=WIDTH, height=HEIGHT, window=WINDOW, skip=skip
    )
    network = build_network(config)
    with torch.no_grad():
        if skip:
            network.skip.convolution.weight.normal_()
        for layer in (1, 4):
            norm = network.spatial_encoder.layers[layer]
            norm.momentum = None  # the statistics are those of all that it has seen
            norm.weight.copy_(torch.tensor([0.1, 1, 10, 30]))
        network.spatial_encoder(frames)
    return network.eval()


def spread(network, frames):
    """How many times one channel's largest value is another's."""
    with torch.no_grad():
        largest = network.spatial_encoder(frames)[1].amax((0, 2, 3))
    return (largest.max() / largest.min()).item()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("architecture", ["bi_crrn_e", "bi_crrn_ed_attn", "conv_lstm"])
def test_the_same_is_computed_of_channels_more_alike(architecture, skip, frames):
    network = make(architecture, frames, skip=skip)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scaled = equalised(network, frames)
    assert spread(network, frames) > 50
    assert spread(scaled, frames) < spread(network, frames) ** 0.7
    with torch.no_grad():
        window = frames[:WINDOW].unsqueeze(0)
        expected = network(window)
        torch.testing.assert_close(scaled(window), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.003
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_features_that_something_else_reads_stay_as_they_are(frames, monkeypatch):
    network = make("bi_crrn_e", frames)
    drive = CSTM.drive
    monkeypatch.setattr(CSTM, "drive", lambda layer, inputs: drive(layer, inputs) + inputs.mean())
    assert equalised(network, frames) is network


def test_networks_without_an_encoder_stay_as_they_are(frames):
    torch.manual_seed(1)
    config = NetworkConfig("unet", channels=4, width=48, height=32, window=WINDOW)
    network = build_network(config).eval()
    assert equalised(network, frames) is network
