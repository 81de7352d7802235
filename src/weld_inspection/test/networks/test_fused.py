"""Fused steps compute what the others do."""

import pytest
import torch

from weld_inspection.networks import fused
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.cstm import CSTM, update
from weld_inspection.networks.fused import FusedUpdate, fuse_steps
from weld_inspection.networks.registry import build_network

needs_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")


def network_and_batch(device, name="bi_crrn_ed_attn"):
    torch.manual_seed(0)
    config = NetworkConfig(name, channels=8, width=32, height=24, window=3)
    network = build_network(config).channels_last().to(device)
    for layer in layers_of(network):
        torch.nn.init.normal_(layer.peephole, std=0.3)
    frames = (torch.rand(2, 3, 3, 24, 32) * 2 - 1).to(device)
    return network, frames, (torch.rand(2, 3, 24, 32) > 0.8).to(device)


def layers_of(network):
    return [module for module in network.modules() if isinstance(module, CSTM)]


def loss_and_gradient(network, frames, masks):
    network.zero_grad()
    loss = network.loss(frames, masks)
    loss.backward()
    return loss.item(), torch.cat([weight.grad.flatten() for weight in network.parameters()])


def test_what_is_compiled_is_all_of_it_and_computes_the_same(monkeypatch):
    compiled, made, calls = torch.compile, [], []

    def traced(function, **options):
        made.append(options)
        work = compiled(function, backend="aot_eager", fullgraph=True, **options)

        def counted(*arguments):
            calls.append(arguments)
            return work(*arguments)

        return counted

    monkeypatch.setattr(torch, "compile", traced)
    network, frames, masks = network_and_batch("cpu")
    wanted, gradient = loss_and_gradient(network, frames, masks)
    step = FusedUpdate(training=True)
    for layer in layers_of(network):
        layer.update = step
    for _ in range(2):
        found, other = loss_and_gradient(network, frames, masks)
        assert found == pytest.approx(wanted, rel=1e-6)
        torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-7)
    assert made == [{"dynamic": False}]
    assert len(calls) == 2 * len(layers_of(network)) * frames.shape[1]


def test_smaller_batches_and_validation_are_not_compiled_for(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments[0].shape)
        return update(*arguments)

    monkeypatch.setattr(torch, "compile", lambda function, **_: counted)
    step = FusedUpdate(training=True)
    whole, rest = torch.rand(4, 8, 3, 3), torch.rand(1, 8, 3, 3)
    with torch.no_grad():
        step(whole, None, None, None, None)
    assert not calls
    for drive in (rest, whole, rest, whole):  # a run that goes on may begin with the rest
        for found, wanted in zip(step(drive, *[None] * 4), update(drive, *[None] * 4), strict=True):
            assert torch.equal(found, wanted)
    assert calls == [rest.shape, whole.shape, whole.shape]


def test_where_torch_compiles_nothing_it_says_so(monkeypatch):
    def refuse(sample):
        raise RuntimeError("backend='inductor' raised:\nFailed to find C compiler")

    network, *_ = network_and_batch("cpu")
    monkeypatch.setattr(torch, "compile", lambda function: refuse)
    monkeypatch.setattr(torch, "zeros", lambda *size, device: None)
    told = fuse_steps(network, training=True)
    assert told.endswith(
        "cannot compile them: backend='inductor' raised: Failed to find C compiler"
    )
    assert all(layer.update is update for layer in layers_of(network))


def test_a_network_without_such_layers_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: pytest.fail("nothing to compile"))
    network = build_network(NetworkConfig("unet", width=32, height=24))
    assert fuse_steps(network, training=True) == ""


@needs_a_card
@pytest.mark.parametrize("name", ["bi_crrn_ed_attn", "bi_crrn_e"])
def test_on_a_card_fused_steps_compute_the_same(monkeypatch, name):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network, frames, masks = network_and_batch("cuda", name)
    wanted, gradient = loss_and_gradient(network, frames, masks)
    fuse_steps(network, training=True)
    assert all(isinstance(layer.update, fused.FusedUpdate) for layer in layers_of(network))
    found, other = loss_and_gradient(network, frames, masks)
    assert found == pytest.approx(wanted, rel=1e-5)
    assert (other - gradient).norm() < 1e-3 * gradient.norm()
