import math

import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.segmentation_network import segmentation_loss
from weld_inspection.networks.weights import save_model
from weld_inspection.training.metrics import binary_metrics
from weld_inspection.training.module import take_over


def small(name, **options):
    return build_network(NetworkConfig(name, channels=4, width=24, height=18, **options))


def test_loss_is_bce_over_both_logits_by_hand():
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]]).reshape(1, 1, 2, 1, 2)  # sound row, defect row
    masks = torch.tensor([[0, 1]]).reshape(1, 1, 1, 2)

    def bce(logit, target):
        p = 1 / (1 + math.exp(-logit))
        return -math.log(p if target else 1 - p)

    wanted = (bce(0, 1) + bce(2, 0) + bce(1, 0) + bce(-1, 1)) / 4
    assert segmentation_loss(logits, masks).item() == pytest.approx(wanted, rel=1e-5)


def test_metrics_are_those_of_counts_made_by_hand():
    predicted = torch.tensor([0.9, 0.8, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1])
    truth = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0])
    metrics = binary_metrics("")
    metrics.update(predicted[:3], truth[:3])  # counts add up over batches
    metrics.update(predicted[3:], truth[3:])
    values = {name: float(value) for name, value in metrics.compute().items()}
    # tp 2, fn 1, fp 1, tn 4
    assert values == pytest.approx(
        {"accuracy": 6 / 8, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    )


def test_weights_are_taken_over_where_they_fit(tmp_path):
    torch.manual_seed(0)
    source, target = small("bi_crrn_e"), small("bi_crrn_ed_attn", window=4)
    save_model(tmp_path / "e.safetensors", source)
    assert take_over(target, tmp_path / "e.safetensors") > 0
    assert torch.equal(
        target.spatial_encoder.layers[0].weight, source.spatial_encoder.layers[0].weight
    )
    assert torch.equal(
        target.backward_stack.encoder[1].from_hidden.weight,
        source.backward_layers[1].from_hidden.weight,
    )
    other = build_network(NetworkConfig("bi_crrn_e", channels=6, kernel_size=3, in_channels=1))
    with pytest.raises(InspectionError, match="no weights"):
        take_over(other, tmp_path / "e.safetensors")
