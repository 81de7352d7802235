"""The shipped models: what they are, and that they keep what the demo promises."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from weld_inspection.evaluation.evaluate import evaluate
from weld_inspection.evaluation.variants import trainings
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import INT8_AGREEMENT, InferenceEngine
from weld_inspection.inspection.openvino_export import agreement
from weld_inspection.networks.weights import load_model
from weld_inspection.training.clip_plans import ClipStore, SimulatedPlan
from weld_inspection.training.dataset_builder import build_dataset

MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.safetensors"))
SEEDS = (20_250, 20_251)  # the demo's, and the next; nothing is trained on them
FRAMES = 600  # half a minute

LIVE = ("cpu", "openvino", "int8")  # what the detector takes on two cores
ROUNDED = [("cpu", "torch", "bf16"), ("cpu", "openvino", "bf16"), LIVE]
if torch.cuda.is_available():
    ROUNDED.append(("cuda", "torch", "bf16"))
# How much of the defect pixels (intersection over union) must be the same as in fp32.
LEAST_SAME = {"bf16": 0.995, "int8": 0.98}


@pytest.fixture(scope="module")
def welds(tmp_path_factory):
    """Two welds of the automatic rig, a folder each."""
    folders = []
    for seed in SEEDS:
        folders.append(tmp_path_factory.mktemp("welds") / "clips")
        plans = [SimulatedPlan(f"automatic_{seed}", seed, "automatic", FRAMES)]
        build_dataset(folders[-1], plans, ClipStore(160, 90, "ffv1"), request={}, workers=1)
    return folders


@pytest.fixture(scope="module")
def scored(welds):
    """Scores of a weld by an engine, and its answers; each made once."""

    @functools.cache
    def score(path, device, backend, precision, weld):
        engine, answers = InferenceEngine(path, device, precision, backend), Answers()
        (result,) = evaluate(engine, [welds[weld]], curves=answers)
        return result, answers.masks(engine.info.threshold)

    return score


class Answers:
    """Takes what `evaluate` gives to curves: all probabilities."""

    def __init__(self):
        self._answers = []

    def add(self, truth, answers):
        self._answers += answers

    def masks(self, threshold):
        return np.stack(self._answers) > threshold


def defect_pixels(masks):
    """Of each window, (60, 10, 90, 160) to (60,)."""
    return masks.sum(axis=(1, 2, 3))


def found_by_kind(result):
    return {kind: counts["found"] for kind, counts in result.kinds.items()}


def test_both_networks_of_the_paper_ship():
    assert {path.stem for path in MODELS} == {"bi_crrn_e", "bi_crrn_ed_attn"}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_model_says_where_it_comes_from(path):
    model = load_model(path)
    assert model.config.architecture == path.stem
    assert model.config.window == 10
    card = path.with_suffix(".md").read_text()
    assert "CC BY 4.0" in card
    for training in trainings(model.training):
        assert f"seed {training['config']['seed']}" in card
    assert f"threshold {model.threshold:g}" in card.lower()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_each_model_finds_the_planted_defects(path, scored):
    """What the demo promises."""
    results = [scored(path, *LIVE, weld)[0] for weld in range(len(SEEDS))]
    planted, found, false_events = (
        sum(getattr(result, name) for result in results)
        for name in ("planted", "found", "false_events")
    )
    assert planted >= 9
    assert found >= 0.9 * planted
    assert false_events <= sum(result.minutes for result in results)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_rounder_numbers_leave_masks_and_events_as_they_are(path, scored):
    wanted, reference = scored(path, "cpu", "torch", "fp32", 0)
    assert reference.sum() > 10_000
    theta = DecisionSettings().pixel_threshold
    counts = defect_pixels(reference)
    clear = np.abs(counts - theta) > 0.02 * theta  # not on the edge of eq. (9)
    assert clear.sum() > 50
    for device, backend, precision in ROUNDED:
        form = f"{device}, {backend} {precision}"
        result, masks = scored(path, device, backend, precision, 0)
        same = (masks & reference).sum() / (masks | reference).sum()
        print(f"{path.stem}, {form}: {100 * same:.2f} % of defect pixels the same")
        assert same >= LEAST_SAME[precision], form
        assert (result.found, result.false_events) == (wanted.found, wanted.false_events)
        alike = (defect_pixels(masks) > theta) == (counts > theta)
        assert alike[clear].all(), form
        assert found_by_kind(result) == found_by_kind(wanted)
    assert agreement(path) >= INT8_AGREEMENT, "the detector would not take int8 by itself"
