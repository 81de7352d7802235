"""`benchmark engine` and `growth` measure what they say."""

import json
from pathlib import Path

import pytest
import torch

from weld_inspection.benchmarks import inference_speed
from weld_inspection.commands.benchmark import command
from weld_inspection.errors import InspectionError
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    # Random weights give probabilities around a half: the threshold lets some pixels through.
    save_model(path, build_network(NetworkConfig("crrn", channels=8, window=3)), threshold=0.5)
    return path


def test_every_backend_is_timed_and_compared(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inference_speed, "IN_TURN", 2)
    file = tmp_path / "engine.json"
    arguments = ["--model", str(model), "--windows", "3", "--device", "cpu", "--json", str(file)]
    assert command(["engine", *arguments]) == 0
    (result,) = json.loads(file.read_text())
    rows = result["backends"]
    assert list(rows) == [
        "eq. (1) gate by gate", "torch fp32", "torch bf16", "openvino bf16", "openvino int8",
    ]  # fmt: skip
    peer = rows["eq. (1) gate by gate"]
    assert peer["ratio"] == 1.0 and result["defect_pixels"] > 0
    for row in rows.values():
        assert row["ratio"] == pytest.approx(peer["milliseconds"] / row["milliseconds"])
        assert 0 < row["milliseconds_at_the_last_frame"] < row["milliseconds"]
    assert peer["iou"] > 0.99 and rows["torch fp32"]["iou"] == 1.0
    assert "openvino int8" in capsys.readouterr().out


def test_growth_times_each_case(monkeypatch, capsys, tmp_path):
    small = {"channels": 2, "window": 5, "width": 32, "height": 24}
    cases = {"whole": (small, 0), "stride 1": (small, 1), "T = 20": (small | {"window": 20}, 0)}
    monkeypatch.setattr(inference_speed, "CASES", cases)
    monkeypatch.setattr(inference_speed, "DETECTORS", (1, 2))  # each takes seconds to start
    file = tmp_path / "growth.json"
    assert command(["growth", "--network", "unet", "--windows", "1", "--json", str(file)]) == 0
    result, text = json.loads(file.read_text()), capsys.readouterr().out
    assert list(result["milliseconds"]) == list(cases) and list(result["detectors"]) == ["1", "2"]
    assert all(value > 0 for value in result["milliseconds"].values())
    for name in (*cases, "detectors at once: 1", "detectors at once: 2"):
        assert name in text


def test_offline_inspects_the_whole_video(tmp_path, capsys):
    config = NetworkConfig("crrn", channels=2, window=5, width=32, height=24)
    models = [str(tmp_path / name / "small.safetensors") for name in ("a", "b")]
    for seed, model in enumerate(models):
        torch.manual_seed(seed)
        save_model(Path(model), build_network(config))
    file = tmp_path / "offline.json"
    arguments = ["offline", "--model", *models, "--frames", "20", "--json", str(file)]
    assert command(arguments) == 0
    result = json.loads(file.read_text())
    assert len(result["models"]) == 2
    told = capsys.readouterr().out
    for name, row in result["models"].items():
        assert name.startswith("small.safetensors-") and "torch" in row["backend"]
        times = 0.95 / row["seconds"]  # from the first frame to the last
        assert row["times_real_time"] == pytest.approx(times, rel=0.02)
        assert f"{name}: " in told


def test_bad_input(tmp_path):
    with pytest.raises(InspectionError, match="no model 'none'"):
        command(["engine", "--model", "none"])
    with pytest.raises(SystemExit):
        command(["growth", "--windows", "0"])
    with pytest.raises(InspectionError, match="no such folder"):
        command(["engine", "--json", str(tmp_path / "none" / "a.json")])
