import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import (
    FORMAT,
    ModelError,
    file_hash,
    load_model,
    save_model,
    store_threshold,
)

CONFIG = NetworkConfig("bi_crrn_e", channels=4, width=24, height=18, window=3)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = build_network(CONFIG)
    path = tmp_path / "small.safetensors"
    save_model(path, network, {"seed": 7})
    return path, network.eval()


def rewrite(path, **metadata):
    values = {"format": FORMAT, "config": json.dumps(CONFIG.to_dict()), "training": "{}"}
    save_file(load_file(path), path, values | metadata)


def test_round_trip(saved):
    path, network = saved
    model = load_model(path)
    frames = torch.randn(1, 3, 3, 18, 24)
    with torch.no_grad():
        assert torch.equal(model.network(frames), network(frames))
    assert model.config == CONFIG
    assert model.training == {"seed": 7}
    assert model.threshold == 0.5
    assert model.model_id == f"small.safetensors-{file_hash(path)}"
    assert not list(path.parent.glob("*.part"))


def test_a_tensor_that_a_network_uses_twice_is_kept_in_both_places(tmp_path):
    network = build_network(CONFIG)
    network.merge_cell[0].bias = network.merge_hidden[0].bias
    save_model(tmp_path / "tied.safetensors", network, {})
    frames = torch.randn(1, 3, 3, 18, 24)
    with torch.no_grad():
        found = load_model(tmp_path / "tied.safetensors").network(frames)
        assert torch.equal(found, network.eval()(frames))


def test_file_can_be_read_by_whom_the_folder_lets(saved, tmp_path):
    other = tmp_path / "other"
    other.touch()
    assert saved[0].stat().st_mode == other.stat().st_mode


def test_threshold_comes_back(saved):
    path, network = saved
    save_model(path, network, threshold=0.15)
    assert load_model(path).threshold == 0.15


def test_a_threshold_alone_is_stored(saved):
    path, network = saved
    save_model(path, network, {"seed": 7}, dtype=torch.bfloat16)
    before = load_file(path)
    assert store_threshold(path, 0.35) == load_model(path).model_id
    assert load_model(path).threshold == 0.35 and load_model(path).training == {"seed": 7}
    for name, value in load_file(path).items():
        assert value.dtype == before[name].dtype and torch.equal(value, before[name])
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="damaged"):
        store_threshold(path, 0.4)
    assert path.read_bytes() == b"no model"


@pytest.mark.parametrize("threshold", ["0", "1", "nan", "high"])
def test_threshold_that_is_none(saved, threshold):
    path, _ = saved
    rewrite(path, threshold=threshold)
    with pytest.raises(ModelError, match="threshold"):
        load_model(path)


def test_absent_file(tmp_path):
    with pytest.raises(ModelError, match="no model file"):
        load_model(tmp_path / "none.safetensors")


def test_cut_file(saved):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_pickle_is_refused(tmp_path):
    path = tmp_path / "pickle.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="damaged"):
        load_model(path)


def test_foreign_safetensors(saved):
    path, _ = saved
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="no network of this project"):
        load_model(path)


def test_other_architecture(saved):
    path, _ = saved
    rewrite(path, config=json.dumps(CONFIG.to_dict() | {"architecture": "bi_crrn_ed"}))
    with pytest.raises(ModelError, match="do not fit its architecture bi_crrn_ed"):
        load_model(path)


def test_unknown_architecture(saved):
    path, _ = saved
    rewrite(path, config=json.dumps(CONFIG.to_dict() | {"architecture": "later"}))
    with pytest.raises(ModelError, match="there is no network 'later'"):
        load_model(path)
