import json

import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.training.config import read_training_config


def test_defaults_are_the_papers_numbers():
    config = read_training_config(None, {"data": ["clips"]})
    assert (config.epochs, config.batch_size, config.learning_rate) == (150, 20, 1e-4)
    assert config.schedule == "constant" and config.data == ("clips",)


def test_the_command_line_wins_over_the_file(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("data: clips\nepochs: 3\nseed: 5\n")
    config = read_training_config(file, {"epochs": 4})
    assert (config.epochs, config.seed, config.data) == (4, 5, ("clips",))


def test_a_rate_without_a_point_is_a_number_in_a_file_as_on_the_command_line(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text("data: clips\nlearning_rate: 1e-3\nimbalance: 3e1\n")
    config = read_training_config(file, {})
    assert (config.learning_rate, config.imbalance) == (1e-3, 30.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 0\ndata: a", "epochs is 0"),
        ("epochs: 1.5\ndata: a", "epochs is 1.5"),
        ("window: -1\ndata: a", "window is -1"),
        ("epochs: 3", "no training data"),
        ("learning_rate: -1\ndata: a", "learning_rate"),
        ("learning_rate: fast\ndata: a", "learning_rate"),
        ("schedule: cosine\ndata: a", "schedule"),
        ("momentum: 0.9\ndata: a", "unknown training options"),
        ("1: 2\ndata: a\nmomentum: 0.9", r"unknown training options \['1', 'momentum'\]"),
        ("network_options: {architecture: unet}\ndata: a", "architecture: give that as network"),
        ("data: 5", "data is"),
        ("network_options: 7\ndata: a", "network_options is 7"),
        ("precision: int8\ndata: a", "precision is 'int8'"),
        ("crop: 80\ndata: a", "crop is 80"),
        ("crop: [80]\ndata: a", "crop is"),
        ("crop: [80, 8]\ndata: a", "at least 16 pixels"),
        ("seed: -1\ndata: a", "seed is -1"),
        ("seed: one\ndata: a", "seed is 'one'"),
        ("network: [a]\ndata: a", "network is"),
        ("out: 5\ndata: a", "out is 5"),
        ("device: 0\ndata: a", "device is 0"),
        ('augment: "off"\ndata: a', "augment is 'off'"),
        ("[", "cannot read training config"),
        ("just words", "not a list"),
    ],
)
def test_bad_values_are_one_clear_error(tmp_path, text, message):
    file = tmp_path / "train.yaml"
    file.write_text(text)
    with pytest.raises(InspectionError, match=message):
        read_training_config(file, {})


def test_a_crop_comes_back_from_a_run_s_file(tmp_path):
    config = read_training_config(None, {"data": ["clips"], "crop": [80, 48]})
    assert config.crop == (80, 48)
    file = tmp_path / "training.json"
    file.write_text(json.dumps(config.to_dict()))
    assert read_training_config(file, {}) == config


def test_absent_file(tmp_path):
    with pytest.raises(InspectionError, match="cannot read"):
        read_training_config(tmp_path / "none.yaml", {})
