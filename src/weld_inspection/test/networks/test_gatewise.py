"""What a gatewise layer writes otherwise than CSTM."""

import torch

from weld_inspection.networks import cstm, gatewise


def test_gates_agree_at_any_value():
    values = torch.tensor([0.0, 1e-4, 0.3, 2.0, 9.0, 39.0, 41.0, 90.0, 1e4, 1e30, float("inf")])
    values = torch.cat([-values, values])
    value, gate = torch.meshgrid(values, values, indexing="ij")
    expected = cstm.gated(value, gate)
    assert expected.isfinite().all()
    found = gatewise.gated(value, gate)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-7)
