import json

import numpy as np
import pytest
import torch

from weld_inspection.commands.evaluate import command
from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.evaluate import Evaluation, evaluate
from weld_inspection.evaluation.threshold import THRESHOLDS, best_threshold
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.training.clips import ClipWriter
from weld_inspection.training.data_set import set_digest
from weld_inspection.training.windows import WindowDataset

WIDTH, HEIGHT, T = 32, 24, 4


@pytest.fixture
def model(tmp_path):
    """An untrained network whose last weights are raised, so that all probabilities occur."""
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    config = NetworkConfig("bi_crrn_e", channels=4, width=WIDTH, height=HEIGHT, window=T)
    network = build_network(config)
    with torch.no_grad():
        network.spatial_decoder.second.weight *= 1000
    save_model(path, network, {"seed": 7})
    return path


@pytest.fixture
def clips(tmp_path):
    """A clip of three windows; in the first, 1440 pixels are defect."""
    folder = tmp_path / "clips"
    rng = np.random.default_rng(0)
    writer = ClipWriter(
        folder / "clip", width=WIDTH, height=HEIGHT, frame_rate=20.0,
        source={"kind": "simulated", "seed": 0, "rig": "manual"},
    )  # fmt: skip
    with writer:
        for k in range(3 * T):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[6:18, : 30 if k < T else 3] = 255
            writer.add(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), mask)
    return folder


def f1(seen, real):
    both = np.count_nonzero(seen & real)
    return 2 * both / max(1, np.count_nonzero(seen) + np.count_nonzero(real))


def test_scores_are_those_counted_by_hand(model, clips):
    engine = InferenceEngine(model, "cpu", "fp32")
    windows = [item for item in WindowDataset(clips, window=T, width=WIDTH, height=HEIGHT)]
    real = np.stack([item["masks"].numpy() > 0 for item in windows])
    probabilities = np.stack([engine.infer(item["frames"].numpy()) for item in windows])
    assert (real.sum((1, 2, 3)) > 1000).tolist() == [True, False, False]
    scores = evaluate(engine, [clips], THRESHOLDS)
    assert [score.threshold for score in scores] == list(THRESHOLDS)
    for score in scores:
        seen = probabilities > score.threshold
        assert score.pixel["f1"] == pytest.approx(f1(seen, real), abs=1e-4)
        defective = seen.sum((1, 2, 3)) > 1000
        expected = f1(defective, np.array([True, False, False]))
        assert score.window["f1"] == pytest.approx(expected, abs=1e-4)
    assert len({score.pixel["f1"] for score in scores}) > 5
    assert len({score.window["f1"] for score in scores}) > 1


def evaluation(threshold, pixel, window, planted=0, found=0, false_events=0):
    return Evaluation(
        {"f1": pixel}, {"f1": window}, threshold, 1000, 10, 1.0, planted, found, false_events
    )


def test_best_is_by_windows_and_pixels_alike():
    scores = [evaluation(0.1, 0.3, 0.9), evaluation(0.2, 0.6, 0.8), evaluation(0.3, 0.7, 0.6)]
    assert best_threshold(scores).threshold == 0.2


def test_defects_and_masks_count_alike_with_a_false_event_a_minute_at_most():
    scores = [
        evaluation(0.1, 0.5, 0.9, planted=10, found=10, false_events=2),
        evaluation(0.2, 0.6, 0.8, planted=10, found=9, false_events=1),
        evaluation(0.3, 0.6, 0.9, planted=10, found=9, false_events=0),
        evaluation(0.4, 0.7, 0.9, planted=10, found=7, false_events=0),
    ]
    assert best_threshold(scores).threshold == 0.3
    one_more = [
        evaluation(0.1, 0.6, 0.7, planted=142, found=142, false_events=1),
        evaluation(0.6, 0.8, 0.9, planted=142, found=141, false_events=1),
    ]
    assert best_threshold(one_more).threshold == 0.6
    noisy = [evaluation(0.1, 0.5, 0.9, 10, 10, 8), evaluation(0.2, 0.4, 0.8, 10, 6, 3)]
    assert best_threshold(noisy).threshold == 0.2


def test_none_is_best_where_nothing_is_found():
    with pytest.raises(InspectionError, match="defective window"):
        best_threshold([evaluation(0.5, 0.1, 0.0)])


def test_tune_writes_the_threshold_into_the_model(model, clips, tmp_path, capsys):
    before = load_model(model)
    file = tmp_path / "scores.json"
    arguments = ["--model", str(model), "--data", str(clips), "--tune", "--json", str(file)]
    assert command(arguments) == 0
    after = load_model(model)
    content = json.loads(file.read_text())
    scores = content["scores"]
    assert content["made_with"]["versions"]["torch"]
    assert {score["model"] for score in scores} == {before.model_id}
    assert after.tuned_on == (set_digest(clips),) and before.tuned_on == ()
    best = max(scores, key=lambda score: score["window"]["f1"] + score["pixel"]["f1"])
    assert after.threshold == best["threshold"]
    assert after.training == before.training and after.model_id != before.model_id
    assert after.model_id in capsys.readouterr().out
    for name, value in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[name], value)
    # What scores without a threshold takes the model's.
    arguments = ["--model", str(model), "--data", str(clips), "--pixel-threshold", "900"]
    command([*arguments, "--json", str(file)])
    told = capsys.readouterr().out
    assert f"threshold {best['threshold']:g}" in told
    assert "which its threshold was found on" in told and "trained on" not in told
    (score,) = json.loads(file.read_text())["scores"]
    assert score["model"] == after.model_id and score["clips"] == {str(clips): set_digest(clips)}
    assert score["training"] == {"seed": 7} and score["engine"]["backend"] == "torch"
    assert (score["trained_on_it"], score["tuned_on_it"]) == (False, True)
    assert (score["pixel_threshold"], score["threshold"]) == (900, best["threshold"])
    with pytest.raises(InspectionError, match="threshold of .* was found on .*: give other clips"):
        command(["--model", str(model), "--data", str(clips), "--out", str(tmp_path / "report")])
