from dataclasses import replace

import numpy as np
import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.inspection import model_choice
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.inspector import Inspector
from weld_inspection.inspection.model_choice import choose_engine, find_model
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Small random networks under the names of shipped ones."""
    path = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    for name in ("bi_crrn_e", "bi_crrn_ed_attn"):
        config = NetworkConfig(name, channels=4, layers=1, window=3, width=32, height=18)
        save_model(path / f"{name}.safetensors", build_network(config))
    return path


def test_model_is_found_by_path_and_by_name(folder):
    wanted = folder / "bi_crrn_e.safetensors"
    for name in (str(wanted), "bi_crrn_e", "bi_crrn_e.safetensors"):
        assert find_model(name, folder) == wanted


def test_unknown_model_is_told_with_the_shipped_ones(folder, tmp_path):
    with pytest.raises(InspectionError, match="no model 'nope'.*bi_crrn_e, bi_crrn_ed_attn"):
        find_model("nope", folder)
    with pytest.raises(InspectionError, match="no model '/no/such.safetensors'"):
        find_model("/no/such.safetensors", folder)
    with pytest.raises(InspectionError, match="parameter 'model'"):
        choose_engine(tmp_path)


def test_best_model_that_keeps_up_is_chosen(folder, monkeypatch):
    times = {"bi_crrn_e": 0.1, "bi_crrn_ed_attn": 0.2}
    monkeypatch.setattr(
        model_choice, "_time", lambda engine, new, budget: times[engine.info.architecture]
    )
    engine, why, _ = choose_engine(folder, device="cpu", frame_rate=3.0)  # 0.6 s allowed
    assert engine.info.architecture == "bi_crrn_ed_attn"
    assert why.startswith("bi_crrn_ed_attn chosen: bi_crrn_ed_attn takes 0.20 s a window on cpu")
    engine, why, _ = choose_engine(folder, device="cpu", frame_rate=12.0)  # 0.15 s allowed
    assert engine.info.architecture == "bi_crrn_e"
    assert "0.15 s allowed; bi_crrn_e takes 0.10 s" in why
    engine, *_ = choose_engine(folder, device="cpu", frame_rate=2.5, stride=1)  # 0.24 s allowed
    assert engine.info.architecture == "bi_crrn_ed_attn"


def test_what_a_better_model_had_to_do_without_is_told(folder, monkeypatch):
    times = {"bi_crrn_e": 0.1, "bi_crrn_ed_attn": 0.2}

    class Short(InferenceEngine):
        def __init__(self, model, *options):
            super().__init__(model, *options)
            if model.stem == "bi_crrn_ed_attn":
                self.info = replace(self.info, shortfall="no int8")

    monkeypatch.setattr(model_choice, "InferenceEngine", Short)
    monkeypatch.setattr(
        model_choice, "_time", lambda engine, new, budget: times[engine.info.architecture]
    )
    engine, _, shortfall = choose_engine(folder, device="cpu", frame_rate=12.0)  # 0.15 s allowed
    assert engine.info.architecture == "bi_crrn_e" and shortfall == "bi_crrn_ed_attn: no int8"


@pytest.mark.parametrize(
    ("slow", "fast"), [("bi_crrn_e", "bi_crrn_ed_attn"), ("bi_crrn_ed_attn", "bi_crrn_e")]
)
def test_fastest_model_is_chosen_where_none_keeps_up(folder, monkeypatch, slow, fast):
    times = {slow: 3.0, fast: 2.0}
    monkeypatch.setattr(
        model_choice, "_time", lambda engine, new, budget: times[engine.info.architecture]
    )
    engine, why, _ = choose_engine(folder, device="cpu")
    assert engine.info.architecture == fast
    assert why.startswith(f"{fast} chosen: ") and "3.00 s" in why and "2.00 s" in why


def test_real_engine_is_timed_and_inspects(folder):
    engine, why, _ = choose_engine(folder, device="cpu", precision="fp32", frame_rate=0.1)
    assert "on cpu by torch in fp32" in why
    assert isinstance(engine, InferenceEngine)
    image = np.random.default_rng(0).integers(0, 256, (72, 128, 3), np.uint8)
    inspector = Inspector(engine)
    results = [r for k in range(6) for r in inspector.add(image, k * 50_000_000)]
    assert len(results) == 2
    again = Inspector(engine)
    replay = [r for k in range(6) for r in again.add(image, k * 50_000_000)]
    for one, other in zip(results, replay, strict=True):
        assert one.regions == other.regions or str(one.regions) == str(other.regions)
        for a, b in zip(one.frames, other.frames, strict=True):
            assert a.mask.shape == (18, 32) and np.array_equal(a.mask, b.mask)


def test_timing_ends_with_the_first_that_keeps_up(brightness_engine):
    engine = brightness_engine()
    window = engine.info.window
    assert model_choice._time(engine, window, 60.0) < 60.0
    assert (engine.calls, engine.looked, engine.advanced) == (1, 1 + window, window)
    model_choice._time(engine, window, 0.0)
    assert engine.calls == 1 + model_choice.TIMINGS


def test_frames_that_an_earlier_window_had_cost_no_look(brightness_engine):
    engine = brightness_engine()
    model_choice._time(engine, 2, 60.0)
    assert (engine.looked, engine.advanced) == (1 + 2, engine.info.window)
