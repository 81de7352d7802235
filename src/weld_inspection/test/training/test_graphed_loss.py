"""A recorded step computes what the others do."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.registry import NETWORKS, build_network
from weld_inspection.networks.weights import save_model
from weld_inspection.training import module as module_module
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.graphed_loss import BatchLoss, GraphedLoss, can_be_graphed
from weld_inspection.training.module import WindowSegmentation

SMALL = {"channels": 8, "width": 32, "height": 24, "window": 3}


def batches(count, size=2, device="cuda"):
    torch.manual_seed(1)
    for _ in range(count):
        frames = torch.randint(0, 256, (size, 3, 24, 32, 3), dtype=torch.uint8, device=device)
        yield frames, (torch.rand(size, 3, 24, 32, device=device) > 0.8).to(torch.uint8)


@pytest.fixture
def recorder(monkeypatch):
    """Takes the place of torch's recording: does the warm-ups, and counts what is replayed."""

    class Recorder:
        def __init__(self):
            self.sizes, self.replayed = [], []

        def record(self, module, sample, allow_unused_input):
            for _ in range(3):
                module(*sample)
            self.sizes.append(len(sample[0]))

            def replay(frames, masks):
                assert frames.shape == sample[0].shape
                self.replayed.append(len(frames))
                return module(frames, masks)

            return replay

    made = Recorder()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", made.record)
    return made


def test_which_networks_can_be_recorded():
    found = {name: can_be_graphed(build_network(NetworkConfig(name, **SMALL))) for name in NETWORKS}
    assert found.pop("mask_rcnn") is False
    assert all(found.values())


def test_the_largest_batch_is_recorded_and_others_are_computed(recorder):
    network = build_network(NetworkConfig("unet", **SMALL)).train()
    loss = GraphedLoss(network)
    plain = BatchLoss(copy.deepcopy(network))
    for size in (1, 2, 1, 2):  # a run that goes on may begin with the rest of an epoch
        for batch in batches(1, size, "cpu"):
            assert loss(*batch).item() == plain(*batch).item()
    assert recorder.sizes == [1, 2] and recorder.replayed == [1, 2, 2]
    for name, value in plain.network.state_dict().items():  # running statistics, too
        torch.testing.assert_close(network.state_dict()[name], value)


def test_what_cannot_be_recorded_is_one_clear_error(monkeypatch):
    def fail(*given, **options):
        raise RuntimeError("out of memory\nat line 7")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fail)
    loss = GraphedLoss(build_network(NetworkConfig("crrn", **SMALL)))
    with pytest.raises(
        InspectionError, match=r"record a step of crrn \(out of memory\): use small"
    ):
        loss(*next(batches(1, device="cpu")))


@pytest.mark.parametrize(
    ("options", "graphed"), [({}, True), ({"imbalance": 3.0}, False), ({"teacher": True}, False)]
)
def test_a_step_is_a_recorded_one_where_all_pixels_count(tmp_path, recorder, options, graphed):
    network = build_network(NetworkConfig("crrn", **SMALL))
    if "teacher" in options:
        options = {"teacher": str(tmp_path / "teacher.safetensors")}
        save_model(Path(options["teacher"]), network)
    module = WindowSegmentation(network, TrainingConfig("crrn", ("clips",), **options))
    module.log = lambda *given, **kept: None
    module.graphed_loss = GraphedLoss(network)
    frames, masks = next(batches(1, device="cpu"))
    assert module.training_step({"frames": frames, "masks": masks}, 0) > 0
    assert bool(recorder.replayed) is graphed


@pytest.mark.parametrize(
    ("device", "processes", "graphed"), [("cuda", 1, True), ("cuda", 2, False), ("cpu", 1, False)]
)
def test_one_process_on_a_card_records_its_steps(monkeypatch, caplog, device, processes, graphed):
    monkeypatch.setattr(module_module, "fuse_steps", lambda network, training: "no C compiler")
    monkeypatch.setattr(WindowSegmentation, "device", torch.device(device))
    monkeypatch.setattr(WindowSegmentation, "trainer", SimpleNamespace(world_size=processes))
    network = build_network(NetworkConfig("crrn", **SMALL))
    module = WindowSegmentation(network, TrainingConfig("crrn", ("clips",)))
    module.on_fit_start()
    assert (module.graphed_loss is not None) is graphed
    assert ("no C compiler" in caplog.text) is (device == "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("name", ["bi_crrn_ed_attn", "bi_crrn_e", "cnn_3d"])
def test_on_a_card_steps_are_the_same(monkeypatch, name):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    plain = build_network(NetworkConfig(name, **SMALL)).channels_last().cuda().train()
    network = copy.deepcopy(plain)
    fuse_steps(network, training=True)
    losses = {}
    for trained, loss_of in ((plain, BatchLoss(plain)), (network, GraphedLoss(network))):
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
