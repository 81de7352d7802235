"""The S-Decoder's sub-pixel form computes what the transposed convolutions do."""

import pytest
import torch

from weld_inspection.networks.segmentation_network import DEFECT_LOGIT
from weld_inspection.networks.spatial import SpatialDecoder
from weld_inspection.networks.subpixel import SubpixelDecoder


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [(20, 28), (19, 28), (18, 27), (17, 25)])
def test_both_forms_agree_to_rounding(kernel_size, size):
    torch.manual_seed(2)
    decoder = SpatialDecoder(4, kernel_size)
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
