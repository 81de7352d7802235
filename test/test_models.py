"""The shipped models: what they are, and that they keep what the demo promises."""

from pathlib import Path

import pytest

from weld_inspection.evaluation.evaluate import evaluate
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.model_choice import PREFERRED
from weld_inspection.networks.weights import load_model
from weld_inspection.training.clip_plans import ClipStore, SimulatedPlan
from weld_inspection.training.dataset_builder import build_dataset

MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.safetensors"))
SEEDS = (20_250, 20_251)  # the demo's, and the next; training seeds end below 2000
FRAMES = 600  # half a minute


@pytest.fixture(scope="module")
def welds(tmp_path_factory):
    """Two welds of the automatic rig."""
    folder = tmp_path_factory.mktemp("welds") / "clips"
    plans = [SimulatedPlan(f"automatic_{seed}", seed, "automatic", FRAMES) for seed in SEEDS]
    build_dataset(folder, plans, ClipStore(160, 90, "ffv1"), request={}, workers=2)
    return folder


def test_both_networks_of_the_paper_ship():
    assert {path.stem for path in MODELS} == {"bi_crrn_e", "bi_crrn_ed_attn"}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_model_says_where_it_comes_from(path):
    model = load_model(path)
    assert model.config.architecture == path.stem
    assert model.config.window == 10
    seed = model.training["config"]["seed"]
    card = path.with_suffix(".md").read_text()
    assert "CC BY 4.0" in card and f"seed {seed}" in card
    assert f"threshold {model.threshold:g}" in card.lower()


def test_default_model_finds_the_planted_defects(welds):
    """What the demo promises; what the other model scores is in its card."""
    (path,) = [path for path in MODELS if path.stem == PREFERRED[0]]
    (result,) = evaluate(InferenceEngine(path), [welds])
    assert result.planted >= 9
    assert result.found >= 0.9 * result.planted
    assert result.false_events <= result.minutes
