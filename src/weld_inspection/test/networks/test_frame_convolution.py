"""The convolution that reads frames keeps all 8 bits of a pixel where the rest runs in bf16."""

import pytest
import torch
from torch import nn

from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.frame_convolution import HALF_RANGE, FrameConvolution
from weld_inspection.networks.registry import build_network


def test_half_integers_are_exact_in_bf16_and_normalised_pixels_are_not():
    pixels = normalise(torch.arange(256, dtype=torch.uint8))
    scaled = (pixels * HALF_RANGE).to(torch.bfloat16).double()
    assert torch.equal(scaled, torch.arange(256).double() - HALF_RANGE)
    off = (pixels.to(torch.bfloat16).float() - pixels).abs().max()
    assert off * HALF_RANGE > 0.2  # grey values


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(5, 2), (3, 1)])
def test_it_is_that_of_the_frames_and_in_fp32(bias, size, stride):
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 8, size, stride, size // 2, bias=bias)
    convolution = FrameConvolution.of(plain)
    frames = normalise(torch.randint(0, 256, (1, 3, 24, 32), dtype=torch.uint8))
    torch.testing.assert_close(convolution(frames), plain(frames), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(convolution(frames), convolution(frames).float())
        assert plain(frames).dtype == torch.bfloat16
    assert convolution.to(torch.bfloat16)(frames).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"architecture": "bi_crrn_e"}, 1),
        ({"architecture": "bi_crrn_e", "unet_channels": 3}, 2),
        ({"architecture": "unet"}, 1),
    ],
)
def test_nothing_else_reads_frames(options, count):
    network = build_network(NetworkConfig(channels=4, **options)).eval()
    frames = torch.rand(1, 2, 3, 32, 32) * 2 - 1
    reading = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == frames.shape[2]:
            module.register_forward_hook(lambda module, given, _: reading.append((module, given)))
    with torch.no_grad():
        network(frames)
    reading = [module for module, (given,) in reading if torch.equal(given, frames[0])]
    assert len(reading) == count
    assert all(isinstance(module, FrameConvolution) for module in reading)
