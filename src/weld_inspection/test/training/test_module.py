import math

import pytest
import torch

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.segmentation_network import segmentation_loss
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.metrics import binary_metrics
from weld_inspection.training.module import WindowSegmentation


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


def test_loss_leaves_out_the_pixels_that_do_not_count():
    torch.manual_seed(0)
    logits, masks = torch.randn(1, 1, 2, 2, 3), torch.tensor([[[[0, 1, 0], [0, 0, 1]]]])
    counted = torch.tensor([[[[True, True, False], [False, False, False]]]])
    wanted = segmentation_loss(logits[..., :1, :2], masks[..., :1, :2])
    torch.testing.assert_close(segmentation_loss(logits, masks, counted), wanted)
    torch.testing.assert_close(
        segmentation_loss(logits, masks, torch.ones_like(counted)), segmentation_loss(logits, masks)
    )


def test_imbalance_counts_so_many_sound_pixels_to_a_defect_one():
    masks = torch.zeros(2, 5, 60, 80, dtype=torch.uint8)
    masks[:, :, :6, :40] = 1  # 1 in 20
    config = TrainingConfig(data=("clips",), imbalance=3.0)
    module = WindowSegmentation(small("bi_crrn_e"), config)
    counted = module._draw_counted(masks, 7)
    assert counted[masks > 0].all()
    assert counted[masks == 0].sum() / (masks > 0).sum() == pytest.approx(3.0, rel=0.05)
    assert torch.equal(counted, module._draw_counted(masks, 7))
    assert not torch.equal(counted, module._draw_counted(masks, 8))


def test_imbalance_of_a_batch_with_too_few_sound_pixels_counts_fewer_defect_ones():
    masks = torch.zeros(2, 5, 60, 80, dtype=torch.uint8)
    masks[:, :, :20] = 1  # 1 in 3
    config = TrainingConfig(data=("clips",), imbalance=10.0)
    counted = WindowSegmentation(small("bi_crrn_e"), config)._draw_counted(masks, 0)
    assert counted[masks == 0].all()
    assert (masks == 0).sum() / counted[masks > 0].sum() == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize(("imbalance", "most"), [(0.1, 2), (3.0, 15), (30.0, 60)])
def test_imbalance_counts_something_of_a_batch_without_a_defect(imbalance, most):
    masks = torch.zeros(1, 4, 18, 24, dtype=torch.uint8)
    config = TrainingConfig(data=("clips",), imbalance=imbalance)
    module = WindowSegmentation(small("bi_crrn_e"), config)
    numbers = [int(module._draw_counted(masks, index).sum()) for index in range(100)]
    assert 1 <= min(numbers) and max(numbers) <= most
    assert sum(numbers) / 100 == pytest.approx(imbalance + math.exp(-imbalance), rel=0.15)


def test_metrics_are_those_of_counts_made_by_hand():
    predicted = torch.tensor([0.9, 0.8, 0.2, 0.6, 0.1, 0.1, 0.1, 0.1])
    truth = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0])
    metrics = binary_metrics("")
    metrics.update(predicted[:3], truth[:3])  # counts add up over batches
    metrics.update(predicted[3:], truth[3:])
    values = {name: float(value) for name, value in metrics.compute().items()}
    # tp 2, fn 1, fp 1, tn 4
    assert values == pytest.approx(
        {
            "accuracy": 6 / 8,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f05": 2 / 3,
            "f1": 2 / 3,
            "f2": 2 / 3,
        }
    )
    metrics.reset()
    metrics.update(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1, 0, 0, 0]))
    # Precision 1/3, recall 1.
    for name, square in (("f05", 0.25), ("f1", 1.0), ("f2", 4.0)):
        assert float(metrics[name].compute()) == pytest.approx((1 + square) / (square + 3))
