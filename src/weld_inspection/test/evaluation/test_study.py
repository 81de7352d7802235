"""The study: trainings, scores, tables and figures, on a set that two cores learn in seconds."""

import csv
import json
import re
import shutil

import cv2
import pytest
import yaml

from weld_inspection.commands.evaluate import command as evaluate
from weld_inspection.commands.make_dataset import command as make_dataset
from weld_inspection.commands.study import command as study
from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.variants import describe_all
from weld_inspection.networks.averaging import average_models
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import load_model, save_model

NETWORKS = ("bi_crrn_e", "unet")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "tiny"
    assert make_dataset(["preset", "tiny", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A training of two seconds."""
    file = tmp_path_factory.mktemp("numbers") / "study.yaml"
    values = {
        "epochs": 1,
        "batch_size": 2,
        "learning_rate": 1e-3,
        "network_options": {"channels": 4},
        "device": "cpu",
    }
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.fixture(scope="module")
def finished(clips, numbers, tmp_path_factory):
    """A study that was run to its end: its arguments, its folder and its trainings'."""
    folder = tmp_path_factory.mktemp("study")
    arguments = ["--data", clips, "--config", numbers, "--out", folder / "results"]
    arguments += ["--runs", folder / "runs", "--seeds", 2, "--networks", *NETWORKS]
    arguments = [str(item) for item in arguments]
    assert study(arguments) == 0
    return arguments, folder / "results", folder / "runs"


def average(models, out):
    average_models(models, out)
    return out


def rows(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_every_network_is_trained_with_every_seed(finished):
    _, _, runs = finished
    assert {folder.name for folder in runs.iterdir() if folder.is_dir()} == {
        f"{network}_{seed}" for network in NETWORKS for seed in (0, 1)
    }
    model = load_model(runs / "unet_1" / "model.safetensors")
    assert model.training["config"]["seed"] == 1
    assert model.training["config"]["data"] == ["train"]


def test_tables_are_those_of_the_scores(finished):
    _, results, _ = finished
    scores = {}
    for file in (results / "scores").glob("*.json"):
        score = json.loads(file.read_text())
        scores[score["variant"], score["seed"]] = score
        assert set(score["made_with"]) == {"commit", "machine", "versions"}
        assert score["belongs_to"]["model_id"].startswith("model.safetensors-")
    assert set(scores) == {(network, seed) for network in NETWORKS for seed in (0, 1)}
    pixels = {row["network"]: row for row in rows(results / "table_1_validation.csv")}
    assert list(pixels) == ["U-Net", "bi-CRRN-E"]  # in the paper's order
    for title, network in (("U-Net", "unet"), ("bi-CRRN-E", "bi_crrn_e")):
        values = [scores[network, seed]["pixel_curve"]["average_precision"] for seed in (0, 1)]
        mean = sum(values) / 2
        spread = abs(values[0] - values[1]) / 2**0.5
        assert pixels[title]["average precision"] == f"{mean:.3f} ± {spread:.3f}"
    frames = rows(results / "table_4_validation.csv")
    assert [row["network"] for row in frames] == ["U-Net", "bi-CRRN-E"]
    assert all(float(row["ms a window"]) > 0 for row in frames)
    assert {"table_2_validation.csv", "table_events_validation.csv"} <= {
        file.name for file in results.iterdir()
    }
    found = rows(results / "table_kinds_validation.csv")
    kinds = scores["unet", 0]["evaluations"][0]["kinds"]
    assert [row["network"] for row in found] == ["U-Net", "bi-CRRN-E"]
    assert kinds and list(found[0]) == ["network", *kinds]
    readme = (results / "README.md").read_text()
    assert "Table 1" in readme and "table_1" not in readme
    assert f"| {pixels['U-Net']['average precision']} |" in readme


def test_figures_are_pictures(finished):
    _, results, _ = finished
    for number in (7, 8, 9):
        picture = cv2.imread(str(results / f"figure_{number}_validation.png"))
        assert picture is not None and picture.std() > 5
        assert f"(figure_{number}_validation.png)" in (results / "README.md").read_text()


def test_what_is_there_is_not_made_again(finished, capsys):
    arguments, results, runs = finished
    before = {
        file: file.stat().st_mtime_ns
        for file in [*(results / "scores").iterdir(), *runs.glob("*/model.safetensors")]
    }
    shutil.rmtree(runs / "unet_0")  # as if it had been interrupted before this one
    assert study(arguments) == 0
    told = capsys.readouterr().out
    assert "bi-CRRN-E, seed 1: trained already" in told
    assert "1 trainings, about" in told and "training 1 of 1: U-Net, seed 0" in told
    for file, stamp in before.items():
        if "unet_0" not in str(file):
            assert file.stat().st_mtime_ns == stamp, file


def test_own_models_are_reported_without_a_study(finished, clips, tmp_path, capsys):
    _, _, runs = finished
    models = [runs / name / "model.safetensors" for name in ("bi_crrn_e_1", "unet_0", "unet_1")]
    out = tmp_path / "mine"
    arguments = ["--model", *models, "--data", clips / "validation", "--out", out]
    arguments += ["--device", "cpu", "--precision", "fp32"]
    assert evaluate([str(item) for item in arguments]) == 0
    told = capsys.readouterr().out
    assert "scores 1 of 3: U-Net, seed 0, validation\n" in told
    assert re.search("scores 3 of 3: bi-CRRN-E, .*; all that is left about [0-9]+ s\n", told)
    table = rows(out / "table_1_validation.csv")
    assert [row["network"] for row in table] == ["U-Net", "bi-CRRN-E"]
    assert all(row["tuned threshold"] == "" for row in table)
    assert all(row["threshold"] == "0.500" for row in rows(out / "table_events_validation.csv"))
    readme = (out / "README.md").read_text()
    assert "Training of U-Net, bi-CRRN-E: data train, epochs 1" in readme
    assert ", channels 4; seeds 0, 1." in readme and "- Network: torch in fp32 on cpu." in readme
    (out / "scores/unet_1-validation.json").unlink()
    assert evaluate([str(item) for item in arguments]) == 0
    told = capsys.readouterr().out  # the others are there
    assert re.findall("scores .*", told) == ["scores 1 of 1: U-Net, seed 1, validation"]
    scores = {file: file.stat().st_mtime_ns for file in (out / "scores").iterdir()}
    assert evaluate([*map(str, arguments), "--precision", "bf16"]) == 0
    for file, stamp in scores.items():  # made by another engine: measured again
        assert file.stat().st_mtime_ns > stamp


def test_what_cannot_be_reported_is_told_before_it_is_scored(finished, clips, tmp_path):
    _, _, runs = finished
    mine = runs / "unet_0" / "model.safetensors"
    out = tmp_path / "out"

    def report(*options, models=(mine,), data="validation"):
        arguments = ["--model", *models, "--data", clips / data, "--out", out, *options]
        return evaluate([str(item) for item in arguments])

    with pytest.raises(InspectionError, match="no such folder of clips: .*absent"):
        evaluate(
            ["--model", str(mine), "--data", str(clips / "validation"), str(clips / "absent")]
            + ["--out", str(out)]
        )
    links = [tmp_path / name for name in ("this_year", "last_year")]
    for link in links:
        link.symlink_to(clips / "validation")
    with pytest.raises(InspectionError, match="same name: validation, validation"):
        evaluate(["--model", str(mine), "--data", *map(str, links), "--out", str(out)])
    short = tmp_path / "short.safetensors"
    save_model(short, build_network(NetworkConfig("unet", channels=4, window=4)))
    with pytest.raises(InspectionError, match="one shape, not .*: 10 frames of.*: 4 frames of"):
        report(models=(mine, short))
    with pytest.raises(
        InspectionError, match="model.safetensors-.* was trained on .*train, or some"
    ):
        report(data="train")
    with pytest.raises(InspectionError, match="was trained on .*train, or some"):
        report("--held-aside", clips / "train")
    with pytest.raises(InspectionError, match="was trained on .*train, or some"):
        evaluate(["--model", str(mine), "--data", str(clips / "train"), "--tune"])
    with pytest.raises(InspectionError, match="no threshold is tuned on what is reported"):
        report("--held-aside", clips / "validation")
    some = tmp_path / "some"
    for name in ("validation", "tune"):  # one of what is reported among others
        shutil.copytree(clips / name, some, dirs_exist_ok=True)
    (some / "dataset.json").unlink()
    with pytest.raises(InspectionError, match="some holds clips of .*validation: no threshold"):
        report("--held-aside", some)
    sound = tmp_path / "sound"
    arguments = ["simulated", "--out", sound, "--clips", 1, "--frames", 10]
    arguments += ["--defects-per-metre", 0]
    assert make_dataset([str(item) for item in arguments]) == 0
    with pytest.raises(InspectionError, match="no threshold finds a defect pixel of .*sound"):
        report("--held-aside", sound)
    long = tmp_path / "long.safetensors"
    save_model(long, build_network(NetworkConfig("unet", channels=4, window=2000)))
    with pytest.raises(InspectionError, match="as long as a window of 2000 frames"):
        report(models=(long,))
    assert not list((out / "scores").iterdir())


def test_a_report_that_cannot_be_written_keeps_its_scores(finished, clips, tmp_path):
    _, _, runs = finished
    out = tmp_path / "out"
    arguments = ["--model", runs / "unet_0" / "model.safetensors", "--data", clips / "validation"]
    arguments = [str(item) for item in (*arguments, "--out", out)]
    (out / "table_2_validation.csv").mkdir(parents=True)  # which no file can be written over
    with pytest.raises(
        InspectionError, match="cannot write the report: .*table_2_val.* scores are kept"
    ):
        evaluate(arguments)
    assert [file.name for file in (out / "scores").iterdir()] == ["unet_0-validation.json"]


def test_models_that_have_no_mean_are_a_row_each(finished, clips, tmp_path):
    _, _, runs = finished
    model, other = tmp_path / "mine.safetensors", tmp_path / "other.safetensors"
    shutil.copy(runs / "unet_0/model.safetensors", model)
    save_model(other, build_network(NetworkConfig("unet", channels=6)), {"config": {"seed": 5}})
    mean = tmp_path / "mean.safetensors"
    seeds = [runs / f"bi_crrn_e_{seed}/model.safetensors" for seed in (0, 1)]
    average_models([average(seeds, tmp_path / "both.safetensors"), seeds[0]], mean)
    arguments = ["--data", clips / "validation", "--out", tmp_path / "out", "--model"]
    arguments = [str(item) for item in arguments]
    assert evaluate([*arguments, str(model), str(other), str(mean)]) == 0
    table = rows(tmp_path / "out/table_1_validation.csv")
    assert [row["network"] for row in table] == ["U-Net (mine)", "U-Net (other)", "bi-CRRN-E"]
    readme = (tmp_path / "out/README.md").read_text()
    assert "Training of U-Net (other): unknown; seeds 5." in readme
    assert (
        "Training of bi-CRRN-E: the mean of 2, 1 of which is a mean itself; data train, epochs 1"
        in readme
    )
    with pytest.raises(InspectionError, match="give their files different names"):
        evaluate(
            [
                *arguments,
                *(str(runs / name / "model.safetensors") for name in ("unet_0",)),
                str(
                    average(
                        [runs / f"unet_{seed}/model.safetensors" for seed in (0, 1)],
                        tmp_path / "model.safetensors",
                    )
                ),
            ]
        )


def test_the_readings_alone(clips, numbers, tmp_path):
    arguments = ["--data", clips, "--config", numbers, "--out", tmp_path / "results"]
    arguments += ["--runs", tmp_path / "runs", "--parts", "readings"]
    broken_off = tmp_path / "runs/bi_crrn_ed_attn-peephole_none_0/training.json"
    assert study([str(item) for item in arguments]) == 0
    made = {file.name for file in (tmp_path / "results").glob("*_validation.*")}
    names = ("1", "2", "4", "events", "kinds", "obstructions")
    assert made == {f"table_{name}_validation.csv" for name in names} | {
        f"figure_{number}_validation.png" for number in (7, 8, 9)
    }
    table = rows(tmp_path / "results/table_1_validation.csv")
    assert [row["network"] for row in table] == [
        f"bi-CRRN-ED w/attn ({note})" for note in ("decoder_input zeros", "peephole none")
    ]
    for file in broken_off.parent.iterdir():  # as if it had ended before its first checkpoint
        if file != broken_off:
            file.unlink()
    assert study([str(item) for item in arguments]) == 0


def test_a_run_of_other_numbers_is_not_taken_for_one_of_these(finished, numbers, tmp_path):
    arguments, _, _ = finished
    values = yaml.safe_load(numbers.read_text()) | {"epochs": 2}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values))
    changed = [str(other) if item == str(numbers) else item for item in arguments]
    with pytest.raises(InspectionError, match="begun with another epochs"):
        study(changed)


def test_numbers_that_the_study_gives_itself_are_refused(finished, numbers, tmp_path):
    arguments, _, _ = finished
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(yaml.safe_load(numbers.read_text()) | {"imbalance": 3}))
    changed = [str(other) if item == str(numbers) else item for item in arguments]
    with pytest.raises(InspectionError, match="gives each training its imbalance: leave that out"):
        study(changed)


def test_a_reading_that_is_compared_is_no_option_of_all(clips, numbers, tmp_path):
    file = tmp_path / "study.yaml"
    options = {"network_options": {"channels": 4, "peephole": "none"}}
    file.write_text(yaml.safe_dump(yaml.safe_load(numbers.read_text()) | options))
    arguments = ["--data", clips, "--config", file, "--out", tmp_path / "results"]
    arguments += ["--runs", tmp_path / "runs", "--parts", "networks", "readings"]
    with pytest.raises(InspectionError, match="compares networks by peephole: leave that out"):
        study([str(item) for item in arguments])


def test_a_run_on_other_data_is_not_taken_for_one_on_these(
    finished, clips, tmp_path, monkeypatch, capsys
):
    arguments, _, runs = finished

    def on(data):
        return [str(data) if item == str(clips) else item for item in arguments]

    # What is told before the report is all that is of interest.
    monkeypatch.setattr("weld_inspection.evaluation.study.write_report", lambda out, *_, **__: out)
    elsewhere = tmp_path / "moved"
    shutil.copytree(clips, elsewhere)
    assert study(on(elsewhere)) == 0
    assert "bi-CRRN-E, seed 0: trained already" in capsys.readouterr().out
    manifest = elsewhere / "train/dataset.json"
    content = manifest.read_text()
    manifest.write_text(content.replace('"preset": "tiny"', '"preset": "small"'))
    with pytest.raises(InspectionError, match="bi_crrn_e_0 was begun with another train in --data"):
        study(on(elsewhere))
    manifest.write_text(content)
    shutil.copytree(clips / "tune", elsewhere / "photos_train")
    with pytest.raises(InspectionError, match="begun with another photos_train in --data"):
        study(on(elsewhere))
    record = runs / "bi_crrn_e_0.data.json"
    kept = record.read_text()
    record.unlink()
    with pytest.raises(InspectionError, match="begun with unknown data, .* remove the folder"):
        study(arguments)
    assert "trained already" not in capsys.readouterr().out
    record.write_text(kept)


def test_what_a_study_lacks_is_told_before_it_trains(clips, numbers, tmp_path):
    data, runs = tmp_path / "data", tmp_path / "runs"
    arguments = ["--data", data, "--config", numbers, "--out", tmp_path / "out", "--runs", runs]
    arguments = [str(item) for item in arguments]
    shutil.copytree(clips, data)
    shutil.rmtree(data / "tune")
    with pytest.raises(InspectionError, match="no folder .*tune, which belongs to .*train"):
        study(arguments)
    shutil.copytree(clips / "tune", data / "tune")
    shutil.copytree(clips / "tune", data / "photos_train")
    with pytest.raises(InspectionError, match="no folder .*photos_validation, which belongs"):
        study(arguments)
    shutil.rmtree(data / "photos_train")
    shutil.rmtree(data / "train")  # whose place clips full of defects take
    made = ["simulated", "--out", data / "train", "--clips", 1, "--frames", 40]
    made += ["--defects-per-metre", 60, "--seed", 3]
    assert make_dataset([str(item) for item in made]) == 0
    with pytest.raises(InspectionError, match="imbalance is 30, but the training data have"):
        study([*arguments, "--parts", "networks", "imbalance"])
    assert not runs.exists()


def test_table_3_is_of_trainings_with_more_and_more_sound_metal(clips, numbers, tmp_path):
    arguments = ["--data", clips, "--config", numbers, "--out", tmp_path / "results"]
    arguments += ["--runs", tmp_path / "runs", "--parts", "imbalance"]
    assert study([str(item) for item in arguments]) == 0
    table = rows(tmp_path / "results/table_3_validation.csv")
    assert [row["network"] for row in table] == [
        f"bi-CRRN-ED w/attn ({number}:1)" for number in (3, 10, 20, 30)
    ]


@pytest.mark.parametrize(("before", "of_one_row"), [(["a 1"], True), (["b 2"], False)])
def test_trainings_of_other_beginnings_are_no_seeds_of_one(before, of_one_row, tmp_path):
    paths = [tmp_path / "one.safetensors", tmp_path / "other.safetensors"]
    network = build_network(NetworkConfig("bi_crrn_e", channels=4, width=24, height=18, window=3))
    starts = ("model.safetensors", ["model.safetensors"])  # as versions before wrote it, and now
    for seed, (path, behind, start) in enumerate(
        zip(paths, (["a 1"], before), starts, strict=True)
    ):
        told = {"config": {"seed": seed, "start_from": start}, "data": ["c 3"]}
        save_model(path, network, told | {"data_before": behind})
    names = {described.variant.name for described in describe_all(paths)}
    assert len(names) == (1 if of_one_row else 2)


def test_parts_that_have_their_network_take_no_other(tmp_path, capsys):
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--networks", "unet"]
    with pytest.raises(SystemExit):
        study([*arguments, "--parts", "imbalance"])
    assert "--networks is of part networks" in capsys.readouterr().err


def test_a_folder_without_clips_says_how_to_make_them(numbers, tmp_path):
    with pytest.raises(InspectionError, match="make_dataset preset small"):
        study(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--config", str(numbers)])
