"""Sub-pixel forms compute what the layers do that they are made of."""

import pytest
import torch

from weld_inspection.networks.cstm import AttentionMap
from weld_inspection.networks.segmentation_network import DEFECT_LOGIT
from weld_inspection.networks.spatial import SkipConnection, SpatialDecoder
from weld_inspection.networks.subpixel import (
    SubpixelAttention,
    SubpixelDecoder,
    SubpixelLast,
    SubpixelSkip,
)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(20, 28), (19, 28), (18, 27), (17, 25)])
def test_decoders_agree_to_rounding(kernel_size, size):
    torch.manual_seed(2)
    decoder = SpatialDecoder(4, kernel_size, unet_channels=3)
    for value in decoder.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 1.0)  # the norm's running figures too
    decoder.eval()
    features = torch.randn(3, 4, 5, 7)
    with torch.no_grad():
        expected = decoder(features, size)[:, DEFECT_LOGIT:]
        found = SubpixelDecoder(decoder)(features, size)
    assert expected.shape == (3, 1, *size)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    skip = SkipConnection(4)
    torch.nn.init.normal_(skip.convolution.weight)
    details = torch.randn(3, 4, *((length + 1) // 2 for length in size))
    with torch.no_grad():
        without, expected = expected, decoder(features, size, skip(details))[:, DEFECT_LOGIT:]
        found = SubpixelDecoder(decoder)(features, size, SubpixelSkip(skip)(details))
    assert (expected - without).abs().mean() > 0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    last = torch.nn.Conv2d(5, 3, 1)
    features_of_frames = 10 * torch.randn(3, 5, *size)
    fine = last(features_of_frames).permute(0, 2, 3, 1)
    children = SubpixelLast(last)(features_of_frames).permute(0, 2, 3, 1)
    with torch.no_grad():
        without, expected = (
            expected,
            decoder(features, size, skip(details), fine)[:, DEFECT_LOGIT:],
        )
        found = SubpixelDecoder(decoder)(features, size, SubpixelSkip(skip)(details), children)
    assert (expected - without).abs().mean() > 0.5
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(5, 7), (8, 12), (6, 9), (23, 40)])
def test_attention_maps_agree_to_rounding(kernel_size, size):
    torch.manual_seed(2)
    attention = AttentionMap(4, kernel_size)
    hidden = torch.randn(3, 4, *size)
    with torch.no_grad():
        expected = attention(hidden)
        found = SubpixelAttention(attention)(hidden)
    assert expected.shape == (3, 1, *size)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
