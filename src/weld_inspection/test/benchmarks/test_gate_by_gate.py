"""The peer that speed is measured against computes what the networks compute."""

import pytest
import torch

from weld_inspection.benchmarks.gate_by_gate import GateByGate, written_out
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.gatewise import GatewiseCSTM, gatewise
from weld_inspection.networks.registry import build_network

RECURRENT = ("bi_crrn_e_attn", "bi_crrn_ed", "bi_crrn_ed_attn", "crrn_attn", "conv_lstm")


@pytest.mark.parametrize("name", RECURRENT)
def test_gatewise_layers_compute_the_same(name):
    torch.manual_seed(4)
    network = build_network(NetworkConfig(name, channels=4, width=24, height=18)).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    form = gatewise(network)
    assert sum(isinstance(module, GatewiseCSTM) for module in form.modules()) >= 4
    frames = torch.randn(5, 3, 18, 24)
    with torch.no_grad():
        looks, given, state = [form.look(frame[None]) for frame in frames], [], None
        for look in looks:
            added, state = form.advance(look, state)
            given.append(added)
        judged = form.judge(looks, given, state, (18, 24))
        torch.testing.assert_close(judged, network(frames[None]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("peephole", ["channel", "none"])
@pytest.mark.parametrize("name", RECURRENT)
def test_both_forms_agree_to_rounding(name, peephole):
    torch.manual_seed(4)
    options = {"channels": 4, "width": 24, "height": 18, "peephole": peephole}
    network = build_network(NetworkConfig(name, **options))
    for parameter in network.parameters():  # peepholes start at zero
        torch.nn.init.normal_(parameter, std=0.3)
    peer = written_out(network)
    assert sum(isinstance(module, GateByGate) for module in peer.modules()) >= 4
    frames, masks = torch.randn(2, 5, 3, 18, 24), torch.randint(0, 2, (2, 5, 18, 24))
    torch.testing.assert_close(peer(frames), network(frames), rtol=1e-4, atol=1e-4)

    gradients = []
    for form in (network, peer):
        form.loss(frames, masks).backward()
        gradients.append(form.spatial_encoder.layers[0].weight.grad)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-6)
