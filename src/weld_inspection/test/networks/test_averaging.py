from pathlib import Path

import pytest
import torch

from weld_inspection.commands.average import command
from weld_inspection.networks.averaging import average_models
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import ModelError, load_model, save_model, store_threshold

CONFIG = NetworkConfig("bi_crrn_e", channels=4, width=24, height=18, window=3)


def make(path, seed, config=CONFIG):
    torch.manual_seed(seed)
    network = build_network(config)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value))  # batch statistics, too
    save_model(path, network, {"seed": seed}, threshold=0.2)
    return load_model(path)


def test_mean_of_three(tmp_path, caplog):
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(3)]
    models = [make(path, seed) for seed, path in enumerate(paths)]
    out = tmp_path / "mean.safetensors"
    assert command(["--model", *map(str, paths), "--out", str(out)]) == 0
    assert "the paper's threshold 0.5, not the models' 0.2: tune it" in caplog.text
    mean = load_model(out)
    assert mean.config == CONFIG
    assert mean.threshold == 0.5
    assert mean.training["mean_of"] == [
        {"model": model.model_id, **model.training} for model in models
    ]
    states = [model.network.state_dict() for model in models]
    for name, value in mean.network.state_dict().items():
        expected = sum(state[name].double() for state in states) / 3
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-6)


def test_mean_in_bf16(tmp_path):
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(paths):
        make(path, seed)
    out, half = tmp_path / "mean.safetensors", tmp_path / "half.safetensors"
    average_models(paths, out)
    assert command(["--model", *map(str, paths), "--out", str(half), "--bf16"]) == 0
    rounded = load_model(half).network.state_dict()
    for name, value in load_model(out).network.state_dict().items():
        expected = value.bfloat16().float() if value.is_floating_point() else value
        assert rounded[name].dtype == value.dtype and torch.equal(rounded[name], expected), name
    assert half.stat().st_size < 0.75 * out.stat().st_size


def test_networks_that_differ(tmp_path):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    make(one, 0)
    make(other, 0, NetworkConfig("bi_crrn_e", channels=5, width=24, height=18, window=3))
    with pytest.raises(ModelError, match=r"other\.safetensors .* different networks"):
        average_models([one, other], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()


def test_folder_that_cannot_be_written(tmp_path):
    paths = [tmp_path / f"{seed}.safetensors" for seed in range(2)]
    for seed, path in enumerate(paths):
        make(path, seed)
    with pytest.raises(ModelError, match="cannot write model file .*mean"):
        average_models(paths, paths[0] / "mean.safetensors")


def test_one_model_can_be_stored_in_bf16(tmp_path):
    make(tmp_path / "one.safetensors", 3)
    store_threshold(tmp_path / "one.safetensors", 0.2, ["0123456789ab"])
    average_models([tmp_path / "one.safetensors"], tmp_path / "half.safetensors", bf16=True)
    one, half = (load_model(tmp_path / f"{name}.safetensors") for name in ("one", "half"))
    assert half.training == one.training == {"seed": 3}
    assert (half.threshold, half.tuned_on) == (0.2, ("0123456789ab",))
    for name, value in half.network.state_dict().items():
        whole = one.network.state_dict()[name]
        assert torch.equal(
            value, whole.bfloat16().to(whole.dtype) if whole.is_floating_point() else whole
        )


def test_one_model_has_no_mean(tmp_path):
    make(tmp_path / "one.safetensors", 0)
    with pytest.raises(ModelError, match="two models"):
        average_models([tmp_path / "one.safetensors"], tmp_path / "mean.safetensors")


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("a.safetensors", "one of the models"),
        (str(Path("a.safetensors").resolve()), "one of the models"),
        ("m.pt", "end"),
    ],
)
def test_file_that_cannot_be_written_to(out, says, capsys):
    with pytest.raises(SystemExit):
        command(["--model", "a.safetensors", "b.safetensors", "--out", out])
    assert says in capsys.readouterr().err
