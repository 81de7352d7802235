"""`benchmark train` measures what it says."""

import json

import pytest

from weld_inspection.commands.benchmark import command
from weld_inspection.errors import InspectionError
from weld_inspection.training.clip_plans import ClipStore, SimulatedPlan
from weld_inspection.training.dataset_builder import build_dataset

QUICK = ["--network", "crrn", "--channels", "4", "--batch-size", "1", "--rounds", "2"]


def test_both_forms_and_the_loader_are_timed(tmp_path, capsys):
    plans = [SimulatedPlan("manual_1", 1, "manual", 20)]
    build_dataset(tmp_path / "clips", plans, ClipStore(160, 90, "ffv1"), request={}, workers=1)
    file = tmp_path / "train.json"
    arguments = [*QUICK, "--data", str(tmp_path / "clips"), "--json", str(file)]
    assert command(["train", *arguments]) == 0
    result = json.loads(file.read_text())
    rates = result["windows_a_second"]
    assert result["ratio"] == pytest.approx(rates["as trained"] / rates["as printed"])
    assert min(rates.values()) > 0 and result["loader_windows_a_second"] > 0
    assert result["decoded_frames_a_second"] > 0
    assert set(result["made_with"]) == {"commit", "machine", "versions"}
    assert f"{result['ratio']:.2f}" in capsys.readouterr().out


def test_bad_input(tmp_path):
    with pytest.raises(InspectionError, match="there is no network 'crnn'"):
        command(["train", "--network", "crnn"])
    with pytest.raises(InspectionError, match=r"unet has no layer of eq. \(1\) to write out"):
        command(["train", "--network", "unet", *QUICK[2:]])
    with pytest.raises(SystemExit):
        command(["train", "--rounds", "0"])
    with pytest.raises(InspectionError, match="cannot write"):
        command(["train", *QUICK, "--json", str(tmp_path / "none" / "a.json")])
