import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from weld_inspection.commands.train import command as train
from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.unseen import was_trained_on
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.networks.registry import NETWORKS
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.networks.weights import load_model
from weld_inspection.training.augmentation import Augmentation
from weld_inspection.training.clips import ClipWriter
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.data_set import set_digest
from weld_inspection.training.fit import EpochSampler, ProcessGroup, fit
from weld_inspection.training.module import WindowSegmentation
from weld_inspection.training.windows import WindowDataset

# What the slowest needs: Mask R-CNN learns proposals, boxes and masks one after the other.
EPOCHS = 40
# With it the recurrent networks find the defect in half of them; until then they mark nothing.
RATE = 6e-3
SMALL = {"channels": 8, "width": 32, "height": 24, "window": 4}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of grey noise in which a bright square, the defect, moves along."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for number in range(2):
        writer = ClipWriter(
            folder / f"clip{number}", width=32, height=24, frame_rate=20.0,
            source={"kind": "simulated", "seed": number, "rig": "manual"},
        )  # fmt: skip
        with writer:
            for k in range(16):
                image = rng.integers(60, 100, (24, 32, 3), np.uint8)
                mask = np.zeros((24, 32), np.uint8)
                mask[6:16, k : k + 10] = 255
                image[mask > 0] += 100
                writer.add(image, mask)
    return folder


def copy_of(clips, folder, simulation):
    """The same clips as another version of the simulation writes them."""
    shutil.copytree(clips, folder)
    for path in folder.glob("*/clip.json"):
        written = json.loads(path.read_text())
        written["source"]["simulation"] = simulation
        path.write_text(json.dumps(written))
    return folder


def config(clips, out, **values):
    defaults = {
        "network": "bi_crrn_e", "data": (str(clips),), "validation": (str(clips),),
        "out": str(out), "epochs": 1, "batch_size": 2, "learning_rate": 3e-3,
        "network_options": SMALL, "device": "cpu",
    }  # fmt: skip
    return TrainingConfig(**(defaults | values))


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_clips_of_several_versions_of_the_simulation_are_told(clips, tmp_path, caplog):
    newer = copy_of(clips, tmp_path / "newer", 2)
    fit(config(clips, tmp_path / "same", data=(str(newer), str(newer))))
    assert "versions of the simulation" not in caplog.text
    fit(config(clips, tmp_path / "run", data=(str(clips), str(newer))))
    assert f"version 1 in {clips.name}; version 2 in newer" in caplog.text


def test_training_learns_and_leaves_a_model_that_says_how(clips, tmp_path):
    path = fit(config(clips, tmp_path / "run", epochs=12))
    model = load_model(path)
    assert model.config.channels == 8
    assert model.training["epochs"] == 12 and model.training["config"]["seed"] == 0
    assert model.training["data"] == [f"{clips.name} {set_digest(clips)}"]
    assert model.training["device"] == "cpu" and model.training["made_with"]["versions"]["torch"]
    rows = metrics(tmp_path / "run")
    assert len(rows) == 12
    assert rows[-1]["validation_f1"] > 0.8
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]


def test_shorter_training_windows_leave_the_network_its_own(clips, tmp_path, monkeypatch):
    validated, validate = [], WindowSegmentation.validation_step

    def watched(module, batch, index):
        validated.append(batch["frames"].shape[1])
        validate(module, batch, index)

    monkeypatch.setattr(WindowSegmentation, "validation_step", watched)
    model = load_model(fit(config(clips, tmp_path / "whole")))
    short = load_model(fit(config(clips, tmp_path / "short", window=2)))
    assert short.config.window == model.config.window == 4
    assert set(validated) == {4}
    assert short.training["steps"] == 2 * model.training["steps"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_and_predicts(clips, tmp_path, name):
    rate = 3e-3 if name == "mask_rcnn" else RATE  # its boxes do not bear more
    wanted = config(clips, tmp_path / "run", network=name, epochs=EPOCHS, learning_rate=rate)
    model = fit(wanted)
    rows = metrics(tmp_path / "run")
    assert rows[-1]["validation_f1"] > 0.6
    engine = InferenceEngine(model, "cpu", "fp32")
    probabilities = engine.infer(
        WindowDataset(clips, window=4, width=32, height=24)[0]["frames"].numpy()
    )
    assert probabilities.shape == (4, 24, 32)
    assert probabilities.min() < 0.3 and probabilities.max() > 0.5


def test_a_seed_gives_the_same_weights_twice(clips, tmp_path):
    weights = [
        load_model(fit(config(clips, tmp_path / name, seed=seed, precision="fp32"))).network
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, second, other = (network.top.weight for network in weights)
    assert torch.equal(first, second) and not torch.equal(first, other)


# Mask R-CNN draws samples; workers read ahead.
@pytest.mark.parametrize(
    ("network", "workers"), [("bi_crrn_e", 0), ("bi_crrn_e", 1), ("mask_rcnn", 0)]
)
def test_a_resumed_training_ends_where_one_without_a_break_does(clips, tmp_path, network, workers):
    numbers = {"network": network, "precision": "fp32", "workers": workers}
    whole = load_model(fit(config(clips, tmp_path / "whole", epochs=4, **numbers)))
    fit(config(clips, tmp_path / "parts", epochs=2, **numbers))
    longer = config(clips, tmp_path / "parts", epochs=4, **numbers)
    spent = metrics(tmp_path / "parts")[-1]["seconds"]
    state = torch.load(tmp_path / "parts/last.ckpt", weights_only=True)
    (kept,) = [state["callbacks"][key] for key in state["callbacks"] if "EpochReport" in key]
    kept["seconds"] += 1000.0  # as if the first part had taken longer
    torch.save(state, tmp_path / "parts/last.ckpt")
    parts = load_model(fit(longer, resume=True))
    assert parts.training["seconds"] >= spent + 1000
    assert parts.training["epochs"] == whole.training["epochs"] == 4
    assert parts.training["steps"] == whole.training["steps"]
    assert [row["epoch"] for row in metrics(tmp_path / "parts")] == [1, 2, 3, 4]
    wanted = whole.network.state_dict()
    for name, value in parts.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name], msg=name)


class Break(Exception):
    """The end of a training by force."""


def break_off(monkeypatch, steps):
    """Lets trainings break off after so many steps."""
    calls, loss = [], SegmentationNetwork.loss

    def broken(*arguments):
        calls.append(1)
        if len(calls) > steps:
            raise Break
        return loss(*arguments)

    monkeypatch.setattr(SegmentationNetwork, "loss", broken)


# Of four steps an epoch; checkpoints are after 3, 4 and 6.
@pytest.mark.parametrize(("steps", "workers"), [(5, 0), (5, 1), (7, 0), (7, 1)])
def test_a_training_broken_off_ends_where_one_without_a_break_does(clips, tmp_path, steps, workers):
    def numbers(name):
        return config(
            clips, tmp_path / name, epochs=3, precision="fp32", crop=(20, 16), workers=workers
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weld_inspection.training.fit.STEPS_BETWEEN_CHECKPOINTS", 3)
        whole = load_model(fit(numbers("whole")))
        wanted = whole.network.state_dict()
        with pytest.MonkeyPatch.context() as ends, pytest.raises(Break):
            break_off(ends, steps)
            fit(numbers("parts"))
        if steps == 7:
            twice = {"data": (str(clips), str(clips))}
            others = tmp_path / "more" / clips.name
            shutil.copytree(clips, others)
            shutil.copytree(clips / "clip0", others / "clip2")
            for change, was in (
                ({"batch_size": 3}, "batch_size 2"),
                ({"window": 2}, "window 0"),
                ({"seed": 1}, "seed 0"),
                ({"data": (str(others),)}, f"other clips in {clips.name}"),
                (twice, rf"data \['{clips.name}'\]"),
            ):
                other = config(clips, tmp_path / "parts", **({"epochs": 3} | change))
                with pytest.raises(InspectionError, match=f"within an epoch of {was}"):
                    fit(other, resume=True)
            with pytest.MonkeyPatch.context() as group:
                for name, value in (("RANK", 1), ("WORLD_SIZE", 2), ("LOCAL_WORLD_SIZE", 1)):
                    group.setenv(name, str(value))
                with pytest.raises(InspectionError, match="within an epoch of 1 processes"):
                    fit(numbers("parts"), resume=True)
        held = torch.load(tmp_path / "parts/last.ckpt", weights_only=True)
        assert held["global_step"] == {5: 4, 7: 6}[steps]
        parts = load_model(fit(numbers("parts"), resume=True))
    assert parts.training["steps"] == 12
    assert parts.training["metrics"] == whole.training["metrics"]
    losses, once = (
        [row["loss"] for row in metrics(tmp_path / name)] for name in ("parts", "whole")
    )
    assert losses == once  # also of the epoch with the break
    assert [row["epoch"] for row in metrics(tmp_path / "parts")] == [1, 2, 3]
    for name, value in parts.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name], msg=name)


def test_a_training_broken_off_in_its_last_validation_ends_with_its_model(clips, tmp_path):
    out = tmp_path / "run"

    def broken(*_):
        raise Break

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weld_inspection.training.fit.STEPS_BETWEEN_CHECKPOINTS", 4)
        with pytest.MonkeyPatch.context() as ends, pytest.raises(Break):
            ends.setattr(WindowSegmentation, "validation_step", broken)
            fit(config(clips, out))
        assert not (out / "last.ckpt").exists()
        assert load_model(fit(config(clips, out))).training["epochs"] == 1


def test_another_batch_size_after_a_whole_epoch(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out))
    fit(config(clips, out, epochs=2, batch_size=3), resume=True)
    assert "validation_f1" in metrics(out)[1]
    assert load_model(out / "model.safetensors").training["steps"] == 4 + 3  # 3, 3 and 2 windows


def test_another_learning_rate_after_a_break(clips, tmp_path):
    out = tmp_path / "run"
    before = load_model(fit(config(clips, out, precision="fp32"))).network
    slow = config(clips, out, epochs=2, precision="fp32", learning_rate=1e-12)
    after = load_model(fit(slow, resume=True)).network
    assert torch.allclose(after.top.weight, before.top.weight, rtol=0, atol=1e-9)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out))
    kept = (out / "last.ckpt").read_bytes()

    def fill(trainer, path):
        Path(path).write_bytes(kept[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lightning.Trainer.save_checkpoint", fill)
        message = "cannot write .*last.ckpt: No space left on device; what was saved last is kept"
        with pytest.raises(InspectionError, match=message):
            fit(config(clips, out, epochs=3), resume=True)
    assert (out / "last.ckpt").read_bytes() == kept
    assert len(metrics(out)) == 2  # the second epoch's model was whole
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 1, "again": true}\n')  # as earlier versions could
    fit(config(clips, out, epochs=3), resume=True)
    assert [row["epoch"] for row in metrics(out)] == [1, 2, 3] and metrics(out)[0]["again"]


def test_two_trainings_in_one_folder(clips, tmp_path):
    out = tmp_path / "run"

    def intrude(*_):
        fit(config(clips, out))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationNetwork, "loss", intrude)
        with pytest.raises(InspectionError, match="another training is at work"):
            fit(config(clips, out))


def test_a_training_broken_off_before_its_first_checkpoint_begins_anew(clips, tmp_path):
    with pytest.MonkeyPatch.context() as ends, pytest.raises(Break):
        break_off(ends, 1)
        fit(config(clips, tmp_path / "run"))
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["training.json"]
    assert fit(config(clips, tmp_path / "run")).is_file()
    (tmp_path / "run/last.ckpt").unlink()
    with pytest.raises(InspectionError, match="not empty: give another --out, or remove it"):
        fit(config(clips, tmp_path / "run"))  # its model is whole


def test_a_training_broken_off_after_its_first_model_begins_anew(clips, tmp_path):
    numbers = config(clips, tmp_path / "run", epochs=2)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Break):

        def broken(*_):
            raise Break

        patch.setattr("weld_inspection.training.fit.Checkpoints._save", broken)
        fit(numbers)
    left = {file.name for file in (tmp_path / "run").iterdir()}
    assert left == {"training.json", "model.safetensors", "metrics.jsonl"}
    with pytest.raises(InspectionError, match="not empty"):
        fit(config(clips, tmp_path / "run"))  # of one epoch, the model is what was asked for
    assert load_model(fit(numbers)).training["epochs"] == 2
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "smaller --batch-size or --crop"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory"), "--batch-size"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error"), "/dev/shm"),
    ],
)
def test_what_a_machine_lacks_is_told_with_what_to_do(clips, tmp_path, error, remedy):
    def fails(*_):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationNetwork, "loss", fails)
        with pytest.raises(InspectionError, match=remedy):
            fit(config(clips, tmp_path / "run"))


def test_a_window_too_small_to_normalise_is_told(clips, tmp_path):
    options = {"channels": 8, "width": 32, "height": 24, "window": 1}
    numbers = config(
        clips, tmp_path / "run", network="unet", network_options=options, crop=(16, 16),
        batch_size=1, validation=(),
    )  # fmt: skip
    with pytest.raises(InspectionError, match="larger --crop or --window"):
        fit(numbers)


def test_a_killed_training_is_resumed_by_the_command(clips, tmp_path):
    out = tmp_path / "run"
    file = tmp_path / "train.yaml"
    values = config(clips, out, epochs=1000, batch_size=4).to_dict()
    file.write_text(yaml.safe_dump(values))
    program = "from weld_inspection.commands.train import main; main()"
    command = [sys.executable, "-c", program]
    first = subprocess.Popen([*command, "--config", str(file)])
    try:
        deadline = time.monotonic() + 120
        while not (out / "last.ckpt").is_file() or not (out / "metrics.jsonl").is_file():
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        first.kill()
        first.wait()
    done = len(metrics(out))
    again = [*command, "--out", str(out), "--resume", "--epochs", str(done + 2)]
    subprocess.run(again, check=True, timeout=300)
    assert metrics(out)[-1]["epoch"] == done + 2
    assert load_model(out / "model.safetensors").training["epochs"] == done + 2


def test_a_resumed_training_takes_no_other_numbers(clips, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(["--resume", "--config", "numbers.yaml", "--out", str(tmp_path)])
    assert "leave --config out" in capsys.readouterr().err


def test_a_model_tells_what_the_ones_before_it_have_seen(clips, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(clips / "clip0", others / "clip0")
    fit(config(clips, tmp_path / "first", validation=()))
    file = tmp_path / "first/model.safetensors"
    options = {"data": (str(others),), "validation": (), "start_from": (str(file),)}
    fit(config(clips, tmp_path / "second", **options))
    fit(config(clips, tmp_path / "second", epochs=2, **options), resume=True)
    model = load_model(tmp_path / "second/model.safetensors")
    assert was_trained_on(model, others) and was_trained_on(model, clips)
    # Of the first's clips `others` holds one.
    assert was_trained_on(load_model(file), others) and was_trained_on(load_model(file), clips)
    shutil.copytree(clips / "clip1", tmp_path / "alone")
    second = {"data": (str(others),), "validation": ()}
    fit(config(clips, tmp_path / "third", **second))
    alone = load_model(tmp_path / "third/model.safetensors")
    assert was_trained_on(alone, clips) and not was_trained_on(alone, tmp_path / "alone")


def test_an_unknown_network_option_is_one_clear_error(clips, tmp_path):
    with pytest.raises(InspectionError, match="clips have 3 channels.* in_channels 1"):
        fit(config(clips, tmp_path / "run", network_options={"in_channels": 1}))
    with pytest.raises(InspectionError, match="unknown network options.*depth"):
        fit(config(clips, tmp_path / "run", network_options={"depth": 3}))


def test_a_line_of_metrics_that_was_cut_off_is_left_out(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out, epochs=1))
    with (out / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "sec')
    fit(config(clips, out, epochs=2), resume=True)
    assert [row["epoch"] for row in metrics(out)] == [1, 2]


def test_what_a_teacher_that_comes_later_has_seen_is_kept(clips, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(clips / "clip0", others / "clip0")
    teacher = fit(config(others, tmp_path / "teacher", validation=()))
    out = tmp_path / "run"
    fit(config(clips, out, validation=()))
    later = config(clips, out, validation=(), epochs=2, teacher=str(teacher))
    model = load_model(fit(later, resume=True))
    assert was_trained_on(model, others) and was_trained_on(model, clips)


def test_a_set_given_twice_is_augmented_in_two_ways(clips, tmp_path):
    drawn = []
    with pytest.MonkeyPatch.context() as patch:
        cut = Augmentation.apply

        def watched(self, frames, masks, rng):
            drawn.append(rng.bit_generator.state["state"]["state"])
            return cut(self, frames, masks, rng)

        patch.setattr(Augmentation, "apply", watched)
        fit(config(clips, tmp_path / "run", data=(str(clips), str(clips)), validation=()))
    assert len(drawn) == len(set(drawn)) == 16


def test_folder_errors(clips, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InspectionError, match="not empty"):
        fit(config(clips, tmp_path / "full"))
    with pytest.raises(InspectionError, match="nothing to resume: .* without --resume"):
        fit(config(clips, tmp_path / "new"), resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InspectionError, match="cannot make folder"):
        fit(config(clips, tmp_path / "file" / "run"))
    with pytest.raises(InspectionError, match="no such folder of clips"):
        fit(config(tmp_path / "none", tmp_path / "run"))


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(clips, tmp_path):
    with pytest.raises(InspectionError, match=r"the loss is .* in epoch \d+, batch \d+"):
        fit(config(clips, tmp_path / "run", learning_rate=1e30, epochs=3))


def test_the_last_good_checkpoint_outlives_a_loss_that_is_not_finite(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out, epochs=1))
    kept = (out / "model.safetensors").read_bytes(), (out / "last.ckpt").read_bytes()
    # What a loader or a rate gone wrong does later on.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SegmentationNetwork, "loss", lambda *_: torch.tensor(float("nan")))
        with pytest.raises(InspectionError, match="the loss is nan in epoch 2, batch 0"):
            fit(config(clips, out, epochs=3), resume=True)
    assert kept == ((out / "model.safetensors").read_bytes(), (out / "last.ckpt").read_bytes())
    fit(config(clips, out, epochs=2), resume=True)
    assert metrics(out)[-1]["epoch"] == 2


def test_weights_that_are_not_finite_replace_nothing(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out, epochs=1, validation=()))
    kept = (out / "model.safetensors").read_bytes(), (out / "last.ckpt").read_bytes()

    def diverge(self, outputs, batch, index):
        if index == 3:  # the epoch's last, whose loss was fine
            self.network.top.weight.data.fill_(float("nan"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WindowSegmentation, "on_train_batch_end", diverge)
        with pytest.raises(InspectionError, match="the weights are not finite in epoch 2"):
            fit(config(clips, out, epochs=2, validation=()), resume=True)
    assert kept == ((out / "model.safetensors").read_bytes(), (out / "last.ckpt").read_bytes())


def test_a_validation_loss_that_is_not_finite(clips, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "weld_inspection.training.module.segmentation_loss",
            lambda *_: torch.tensor(float("inf")),
        )
        with pytest.raises(InspectionError, match="the validation loss is inf after epoch 1"):
            fit(config(clips, tmp_path / "run"))
    assert not (tmp_path / "run/model.safetensors").exists()


def test_a_checkpoint_of_another_network(clips, tmp_path):
    out = tmp_path / "run"
    fit(config(clips, out))
    with pytest.raises(InspectionError, match="holds another network than unet"):
        fit(config(clips, out, network="unet", epochs=2), resume=True)
    assert json.loads((out / "training.json").read_text())["network"] == "bi_crrn_e"
    (out / "last.ckpt").write_bytes((out / "last.ckpt").read_bytes()[:1000])
    with pytest.raises(InspectionError, match="last.ckpt is damaged"):
        fit(config(clips, out, epochs=2), resume=True)


def test_one_cycle_keeps_its_length(clips, tmp_path):
    fit(config(clips, tmp_path / "run", schedule="one_cycle", epochs=2))
    for change, was in (
        ({"epochs": 3}, "epochs 2"),
        ({"batch_size": 1}, "batch_size 2"),
        ({"learning_rate": 1e-4}, "learning_rate 0.003"),
    ):
        other = config(clips, tmp_path / "run", **({"schedule": "one_cycle", "epochs": 2} | change))
        with pytest.raises(InspectionError, match=f"begun with one cycle .* of {was}: resume with"):
            fit(other, resume=True)
    with pytest.raises(InspectionError, match="begun with schedule one_cycle"):
        fit(config(clips, tmp_path / "run", epochs=2), resume=True)


def test_a_training_on_crops_learns_too(clips, tmp_path):
    model = fit(config(clips, tmp_path / "run", epochs=12, crop=(20, 16)))
    rows = metrics(tmp_path / "run")
    assert rows[-1]["validation_f1"] > 0.7  # of whole frames
    assert load_model(model).training["config"]["crop"] == [20, 16]


def test_a_training_goes_on_from_a_model_with_its_statistics(clips, tmp_path):
    first = load_model(fit(config(clips, tmp_path / "first", epochs=3))).network
    file = tmp_path / "first/model.safetensors"
    options = {"start_from": (str(file),), "teacher": str(file), "network": "bi_crrn_ed_attn"}
    whole = load_model(fit(config(clips, tmp_path / "whole", epochs=2, **options))).network
    fit(config(clips, tmp_path / "run", **options))
    file.unlink()
    with pytest.raises(InspectionError, match="no model file"):  # the teacher goes on teaching
        fit(config(clips, tmp_path / "run", epochs=2, **options), resume=True)
    file.write_bytes((tmp_path / "run/model.safetensors").read_bytes())
    options["teacher"] = ""
    parts = load_model(fit(config(clips, tmp_path / "run", epochs=2, **options), resume=True))
    held = [n for n in first.state_dict() if n.startswith("spatial_") and "running" in n]
    assert len(held) == 6
    for name in held:  # by validations and by the break, too
        for network in (whole, parts.network):
            assert torch.equal(network.state_dict()[name], first.state_dict()[name]), name
    moved = whole.spatial_encoder.layers[0].weight != first.spatial_encoder.layers[0].weight
    assert moved.any()


def test_nothing_learns_but_some_parts(clips, tmp_path):
    options = {"network": "bi_crrn_ed_attn", "network_options": SMALL | {"skip": True}}
    file = fit(config(clips, tmp_path / "first", **options))
    before = load_model(file).network.state_dict()
    options |= {"start_from": (str(file),), "only": ("spatial_decoder.second", "skip")}
    run = tmp_path / "run"
    after = load_model(fit(config(clips, run, **options))).network.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {
        "spatial_decoder.second.weight",
        "spatial_decoder.second.bias",
        "skip.convolution.weight",
    }
    fit(config(clips, run, epochs=2, **options), resume=True)
    with pytest.raises(InspectionError, match="begun with only spatial_decoder.second skip learn"):
        fit(config(clips, run, epochs=3, **(options | {"only": ()})), resume=True)


@pytest.mark.parametrize(
    ("only", "start_from", "message"),
    [
        (["spatial_decoder"], False, "give the model that it is of, start_from"),
        (["decoder"], True, "bi_crrn_e has no part 'decoder' that learns: give some of spatial_"),
        (["spatial_encoder.layers.2"], True, "no part 'spatial_encoder.layers.2' that learns"),
        ([3], True, "only is .3,.: give names"),
    ],
)
def test_parts_that_cannot_learn_alone(clips, tmp_path, only, start_from, message):
    file = tmp_path / "numbers.yaml"
    values = config(clips, tmp_path / "run").to_dict() | {"only": only}
    if start_from:
        values["start_from"] = str(fit(config(clips, tmp_path / "first")))
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(InspectionError, match=message):
        train(["--config", str(file)])


def test_a_run_that_goes_on_with_other_clips_remembers_those_before(clips, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(clips / "clip0", other / "clip0")
    fit(config(clips, tmp_path / "run"))
    model = fit(config(other, tmp_path / "run", epochs=2), resume=True)
    training = load_model(model).training
    assert training["data"] == [f"other {set_digest(other)}"]
    assert training["data_before"] == [f"{clips.name} {set_digest(clips)}"]
    training = load_model(fit(config(other, tmp_path / "run", epochs=3), resume=True)).training
    assert training["data_before"] == [f"{clips.name} {set_digest(clips)}"]


def test_a_resume_that_is_refused_leaves_the_run_as_it_is(clips, tmp_path):
    run = tmp_path / "run"
    fit(config(clips, run, epochs=2))
    kept = {file.name: file.read_bytes() for file in run.iterdir()}
    with pytest.raises(InspectionError, match="has come to epoch 2: give --epochs 2 or more"):
        fit(config(clips, run, epochs=1), resume=True)
    file = str(run / "model.safetensors")
    with pytest.raises(InspectionError, match="begun anew: go on without --start-from"):
        fit(config(clips, run, epochs=3, start_from=(file,)), resume=True)
    assert {file.name: file.read_bytes() for file in run.iterdir()} == kept


def test_ctrl_c_is_told_as_such(clips, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(WindowSegmentation, "training_step", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(config(clips, tmp_path / "run"))
    finally:
        signal.signal(signal.SIGINT, before)


def test_more_imbalance_than_the_data_have(clips, tmp_path):
    with pytest.raises(InspectionError, match="have 6.7 sound pixels to a defect one"):
        fit(config(clips, tmp_path / "run", imbalance=20.0))


@pytest.mark.parametrize("imbalance", [1.5, 6.0])  # the crops have 2.9
def test_imbalance_holds_on_crops(clips, tmp_path, monkeypatch, imbalance):
    counts, draw = [], WindowSegmentation._draw_counted

    def watched(module, masks, index):
        counted = draw(module, masks, index)
        counts.append([(counted & (masks == value)).sum().item() for value in (0, 1)])
        return counted

    monkeypatch.setattr(WindowSegmentation, "_draw_counted", watched)
    fit(config(clips, tmp_path / "run", imbalance=imbalance, crop=(20, 16), epochs=4))
    sound, defect = np.sum(counts, axis=0)
    assert len(counts) == 4 * 4
    assert sound / defect == pytest.approx(imbalance, rel=0.05)


def test_processes_share_an_epoch_s_windows():
    class Windows(list):
        def set_epoch(self, epoch):
            pass

    alone = EpochSampler([Windows(range(7))], seed=3)
    shares = [EpochSampler([Windows(range(7))], 3, ProcessGroup(rank, 3, 3)) for rank in range(3)]
    for sampler in (alone, *shares):
        sampler.set_epoch(2)
    assert [len(share) for share in shares] == [3, 3, 3]
    dealt = [list(share) for share in shares]
    in_turn = [dealt[place % 3][place // 3] for place in range(9)]
    assert in_turn[:7] == list(alone)  # the order of one process, dealt out
    assert set(in_turn[7:]) <= set(in_turn[:7])


def test_two_processes_train_one_network(clips, tmp_path):
    out = tmp_path / "run"
    values = config(clips, out, epochs=EPOCHS, batch_size=1, learning_rate=RATE).to_dict()
    file = tmp_path / "train.yaml"
    file.write_text(yaml.safe_dump(values))
    script = tmp_path / "train.py"
    script.write_text(
        "import os, torch\n"
        "from weld_inspection.commands.train import main\n"
        "from weld_inspection.training.module import WindowSegmentation\n"
        "WindowSegmentation.on_train_end = lambda module: torch.save(\n"
        "    dict(module.network.named_parameters()), 'weights_' + os.environ['RANK'] + '.pt'\n"
        ")\n"
        "main()\n"
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*torchrun, "--nproc-per-node=2", script, "--config", file],
        check=True, timeout=300, cwd=tmp_path,
    )  # fmt: skip
    ends = [torch.load(tmp_path / f"weights_{rank}.pt", weights_only=True) for rank in range(2)]
    for name, value in ends[0].items():  # each has seen half of the windows
        assert torch.equal(value, ends[1][name]), name
    model = load_model(out / "model.safetensors")
    # Eight windows, a step of one in each process; alone that would be eight steps an epoch.
    assert model.training["steps"] == EPOCHS * 4
    rows = metrics(out)
    assert len(rows) == EPOCHS  # written once
    assert rows[-1]["validation_f1"] > 0.6
