import json

import numpy as np
import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.networks.weights import load_model
from weld_inspection.training.clips import ClipWriter
from weld_inspection.training.config import TrainingConfig
from weld_inspection.training.fit import fit

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


def config(clips, out, **values):
    defaults = {
        "network": "bi_crrn_e", "data": (str(clips),), "validation": (str(clips),),
        "out": str(out), "epochs": 1, "batch_size": 2, "learning_rate": 3e-3,
        "network_options": SMALL, "device": "cpu",
    }  # fmt: skip
    return TrainingConfig(**(defaults | values))


def metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_training_learns_and_leaves_a_model_that_says_how(clips, tmp_path):
    path = fit(config(clips, tmp_path / "run", epochs=12))
    model = load_model(path)
    assert model.config.channels == 8
    assert model.training["epochs"] == 12 and model.training["config"]["seed"] == 0
    rows = metrics(tmp_path / "run")
    assert len(rows) == 12
    assert rows[-1]["validation_f1"] > 0.8
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]


def test_a_seed_gives_the_same_weights_twice(clips, tmp_path):
    weights = [
        load_model(fit(config(clips, tmp_path / name, seed=seed, precision="fp32"))).network
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, second, other = (network.top.weight for network in weights)
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_a_resumed_training_goes_on_where_it_was(clips, tmp_path):
    whole = config(clips, tmp_path / "whole", epochs=4, augment=False, precision="fp32")
    fit(whole)
    parts = config(clips, tmp_path / "parts", epochs=2, augment=False, precision="fp32")
    fit(parts)
    longer = config(clips, tmp_path / "parts", epochs=4, augment=False, precision="fp32")
    model = load_model(fit(longer, resume=True))
    assert model.training["epochs"] == 4
    assert (
        model.training["steps"]
        == load_model(tmp_path / "whole" / "model.safetensors").training["steps"]
    )
    rows = metrics(tmp_path / "parts")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[3]["validation_loss"] < rows[1]["validation_loss"]


def test_folder_errors(clips, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InspectionError, match="not empty"):
        fit(config(clips, tmp_path / "full"))
    with pytest.raises(InspectionError, match="nothing to resume"):
        fit(config(clips, tmp_path / "new"), resume=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InspectionError, match="cannot make folder"):
        fit(config(clips, tmp_path / "file" / "run"))
    with pytest.raises(InspectionError, match="no such folder of clips"):
        fit(config(tmp_path / "none", tmp_path / "run"))


def test_a_loss_that_is_not_finite_stops_with_the_batch_named(clips, tmp_path):
    with pytest.raises(InspectionError, match=r"the loss is .* in epoch \d+, batch \d+"):
        fit(config(clips, tmp_path / "run", learning_rate=1e30, epochs=3))
