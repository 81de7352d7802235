"""The S-Encoder keeps all 8 bits of a pixel where the rest runs in bf16."""

import torch

from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.spatial import HALF_RANGE, SpatialEncoder


def test_half_integers_are_exact_in_bf16_and_normalised_pixels_are_not():
    pixels = normalise(torch.arange(256, dtype=torch.uint8))
    scaled = (pixels * HALF_RANGE).to(torch.bfloat16).double()
    assert torch.equal(scaled, torch.arange(256).double() - HALF_RANGE)
    off = (pixels.to(torch.bfloat16).float() - pixels).abs().max()
    assert off * HALF_RANGE > 0.2  # grey values


def test_first_convolution_is_that_of_the_frames_and_in_fp32():
    torch.manual_seed(0)
    encoder = SpatialEncoder(3, 8, 5).eval()
    first = encoder.layers[0]
    frames = normalise(torch.randint(0, 256, (1, 3, 24, 32), dtype=torch.uint8))
    wanted = torch.nn.functional.conv2d(frames, first.weight, stride=2, padding=2)
    wanted = encoder.layers[1:](wanted)
    torch.testing.assert_close(encoder(frames)[1], wanted, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        inner = []
        encoder.layers[1].register_forward_hook(lambda module, given, made: inner.append(given[0]))
        encoder(frames)
    assert inner[0].dtype == torch.float32
