"""A recorded step computes what the others do."""

import copy

import pytest
import torch

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.registry import NETWORKS, build_network
from weld_inspection.training import graphed_loss
from weld_inspection.training.graphed_loss import GraphedLoss, can_be_graphed

SMALL = {"channels": 8, "width": 32, "height": 24, "window": 3}


def batches(count, size=2):
    torch.manual_seed(1)
    for _ in range(count):
        frames = torch.randint(0, 256, (size, 3, 24, 32, 3), dtype=torch.uint8, device="cuda")
        yield frames, (torch.rand(size, 3, 24, 32, device="cuda") > 0.8).to(torch.uint8)


def test_which_networks_can_be_recorded():
    found = {name: can_be_graphed(build_network(NetworkConfig(name, **SMALL))) for name in NETWORKS}
    assert found.pop("mask_rcnn") is False
    assert all(found.values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("name", ["bi_crrn_ed_attn", "bi_crrn_e", "cnn_3d"])
def test_on_a_card_steps_are_the_same(monkeypatch, name):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    plain = build_network(NetworkConfig(name, **SMALL)).channels_last().cuda().train()
    network = copy.deepcopy(plain)
    fuse_steps(network, training=True)
    losses = {}
    for trained, loss_of in ((plain, graphed_loss._Loss(plain)), (network, GraphedLoss(network))):
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        losses[trained] = []
        for batch in [*batches(4), *batches(1, size=1), *batches(1)]:
            optimizer.zero_grad()
            loss = loss_of(*batch)
            loss.backward()
            optimizer.step()
            losses[trained].append(loss.item())
    assert losses[network] == pytest.approx(losses[plain], rel=1e-3)
    for ours, theirs in zip(
        network.state_dict().values(), plain.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)
