import numpy as np
import pytest
import torch

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import ModelError, load_model, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(2)
    network = build_network(
        NetworkConfig("bi_crrn_ed_attn", channels=8, width=32, height=20, window=4)
    )
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, network)
    return path


def window(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (4, 20, 32, 3), np.uint8)


def test_probabilities_are_the_networks(model):
    engine = InferenceEngine(model, "cpu", "fp32")
    frames = torch.from_numpy(window()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        wanted = torch.sigmoid(load_model(model).network(frames[None])[0, :, 1]).numpy()
    result = engine.infer(window())
    assert result.shape == (4, 20, 32) and result.dtype == np.float32
    np.testing.assert_allclose(result, wanted, atol=1e-5)
    assert engine.info.window == 4 and engine.info.device == "cpu"
    assert engine.info.model_id.startswith("small.safetensors-")


def test_bf16_is_near_fp32(model):
    exact = InferenceEngine(model, "cpu", "fp32").infer(window())
    rounded = InferenceEngine(model, "cpu", "bf16").infer(window())
    np.testing.assert_allclose(rounded, exact, atol=0.02)


def test_a_window_gives_the_same_bits_twice(model):
    engine = InferenceEngine(model)
    first = engine.infer(window(1))
    engine.infer(window(2))
    assert np.array_equal(engine.infer(window(1)), first)


@pytest.mark.parametrize("bad", [np.zeros((3, 20, 32, 3), np.uint8), np.zeros((4, 20, 32, 3))])
def test_a_window_of_another_shape_or_type_is_refused(model, bad):
    with pytest.raises(InspectionError, match="a window of bi_crrn_ed_attn is uint8"):
        InferenceEngine(model).infer(bad)


def test_bad_choices(model, tmp_path):
    with pytest.raises(ModelError, match="no model file"):
        InferenceEngine(tmp_path / "none.safetensors")
    with pytest.raises(InspectionError, match="no device 'tpu'"):
        InferenceEngine(model, "tpu")
    with pytest.raises(InspectionError, match="no precision 'int4'"):
        InferenceEngine(model, precision="int4")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_card_is_one_clear_error(model):
    with pytest.raises(InspectionError, match="torch sees none"):
        InferenceEngine(model, "cuda")
