"""Every backend computes what the reference, torch in fp32, computes."""

import ctypes
import gc
import re
import time

import numpy as np
import pytest
import torch

from weld_inspection.commands.export import command as export
from weld_inspection.errors import InspectionError
from weld_inspection.inspection import engine as engine_module
from weld_inspection.inspection import openvino_backend, openvino_export
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.openvino_export import NoGatesError, agreement, exported
from weld_inspection.inspection.torch_backend import fastest_convolutions, judge_side_by_side
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import NETWORKS, build_network
from weld_inspection.networks.segmentation_network import Part
from weld_inspection.networks.unet import UNet
from weld_inspection.networks.weights import save_model

SMALL = {"channels": 8, "width": 32, "height": 24, "window": 3}
BESIDE = {"skip": True, "unet_channels": 4}
CONVERTED = ["bi_crrn_e", "bi_crrn_e_attn", "bi_crrn_ed_attn", "crrn", "conv_lstm", "cnn_3d"]
CONVERTED += ["unet", "deeplab_v3"]


def save(path, name, seed=0, **options):
    torch.manual_seed(seed)
    network = build_network(NetworkConfig(name, **(SMALL | options)))
    for parameter in network.parameters():
        if parameter.ndim > 1:  # answers that differ from pixel to pixel
            torch.nn.init.normal_(parameter, std=1.2 / np.sqrt(parameter[0].numel()))
    with torch.no_grad():
        for _ in range(20):  # running means and deviations as after a training
            network.train()(torch.rand(2, 3, 3, 24, 32) * 2 - 1)
    save_model(path, network.eval())
    return path


def windows(count=2):
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (count, 3, 24, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "small.safetensors", "bi_crrn_ed_attn")


@pytest.mark.parametrize("name", CONVERTED)
def test_openvino_computes_what_torch_computes(tmp_path, name):
    path = save(tmp_path / f"{name}.safetensors", name)
    torch_engine = InferenceEngine(path, "cpu", "fp32", "torch")
    engine = InferenceEngine(path, "cpu", "fp32", "openvino")
    assert (engine.info.backend, engine.info.precision) == ("openvino", "fp32")
    for window in windows():
        wanted = torch_engine.infer(window)
        assert wanted.std() > 0.01
        for _ in range(3):  # nothing of a window stays behind for the next
            np.testing.assert_allclose(engine.infer(window), wanted, atol=2e-4)


SIDES = {1: [()], 2: [(), (1,)], 4: [(), (1,), (2,), (1, 2)]}  # axes of a window


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("views", [2, 4])
def test_views_are_the_mean_of_mirrored_windows(model, backend, views):
    plain = InferenceEngine(model, "cpu", "fp32", backend)
    engine = InferenceEngine(model, "cpu", "fp32", backend, views)
    assert (plain.info.views, engine.info.views) == (1, views)
    assert f"the mean of {views} mirrored views" in engine.info.reason
    for window in windows():
        answers = [
            np.flip(plain.infer(np.ascontiguousarray(np.flip(window, axes))), axes)
            for axes in SIDES[views]
        ]
        assert np.abs(answers[0] - answers[1]).max() > 0.01
        np.testing.assert_allclose(engine.infer(window), np.mean(answers, 0), atol=2e-4)
        # As its frames come, and with frames that are looked at once for two windows.
        looks = [engine.look(frame) for frame in window]
        for _ in range(2):
            progress = None
            for look in looks:
                progress = engine.advance(progress, look)
            np.testing.assert_allclose(engine.judge(progress), np.mean(answers, 0), atol=2e-4)


def test_a_number_of_views_that_is_none(model):
    with pytest.raises(InspectionError, match="views is 3: give one of 1, 2, 4"):
        InferenceEngine(model, "cpu", "fp32", views=3)


@pytest.mark.parametrize(
    "options",
    [
        {"decoder_input": "zeros"},
        {"peephole": "none"},
        {"skip": True},
        {"unet_channels": 4},
        {"skip": True, "unet_channels": 4},
    ],
)
def test_other_readings_too(tmp_path, options):
    path = save(tmp_path / "other.safetensors", "bi_crrn_ed_attn", **options)
    engine = InferenceEngine(path, "cpu", "fp32", "openvino")
    wanted = InferenceEngine(path, "cpu", "fp32", "torch").infer(windows()[0])
    for _ in range(2):
        np.testing.assert_allclose(engine.infer(windows()[0]), wanted, atol=2e-4)


@pytest.mark.parametrize(
    ("beside", "backend", "precision", "tolerance"),
    [
        ({}, "torch", "bf16", 0.03),
        ({}, "openvino", "bf16", 0.03),
        ({}, "openvino", "int8", 0.1),
        (BESIDE, "torch", "bf16", 0.03),
        (BESIDE, "openvino", "bf16", 0.03),
        (BESIDE, "openvino", "int8", 0.15),
    ],
)
def test_rounder_numbers_are_near(tmp_path, beside, backend, precision, tolerance):
    model = save(tmp_path / "small.safetensors", "bi_crrn_ed_attn", **beside)
    exact = InferenceEngine(model, "cpu", "fp32")
    engine = InferenceEngine(model, "cpu", precision, backend)
    assert (engine.info.backend, engine.info.precision) == (backend, precision)
    for window in windows():
        difference = np.abs(engine.infer(window) - exact.infer(window))
        assert 0 < difference.mean() < tolerance / 3 and difference.max() < 3 * tolerance


@pytest.mark.parametrize("beside", [{}, BESIDE])
@pytest.mark.parametrize("kind", ["float", "int8"])
def test_what_is_in_int8(tmp_path, kind, beside):
    model = save(tmp_path / "small.safetensors", "bi_crrn_ed_attn", **beside)
    # Gate by gate, a layer's weights are eight: four for its input, which another graph computes
    # for the lowest encoder layers and the forward decoder, and four for its state, which there is
    # none of at the first step. Beside the gates, a convolution of each spatial part; of the U-Net
    # all but the first and the last: the other one at the frame's size, two of each level down,
    # three of each level up.
    wanted = {
        "look": 8 + 1 + bool(beside) * (1 + 1 + 4 * 2 + 4 * 3),
        "first_step": 4 + 4,
        "step": 4 + 8 + 4,
        "stage_1_1": 4 + 8,
        "stage_1_2": 4 + 8,
        "stage_2_1": 8 + 8,
        "finish": 1 + bool(beside),
    }
    for file in exported(model, kind).glob("*.xml"):
        in_int8 = len(re.findall(r'<data element_type="i8"', file.read_text()))
        assert in_int8 == (kind == "int8") * wanted.pop(file.stem), file.name
    assert not wanted


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_looks_at_single_frames_are_the_same_work(model, backend):
    engine = InferenceEngine(model, "cpu", "fp32", backend)
    frames = windows().reshape(6, 24, 32, 3)
    looks = [engine.look(frame) for frame in frames]
    windows_so_far = [None] * 4  # all in progress at once
    for step in range(3):
        for first in range(4):
            windows_so_far[first] = engine.advance(windows_so_far[first], looks[first + step])
        if step == 1:
            with pytest.raises(InspectionError, match="3 frames, not 2"):
                engine.judge(windows_so_far[0])
    for first in (2, 0, 3, 1):
        window = frames[first : first + 3]
        judged = engine.judge(windows_so_far[first])
        np.testing.assert_allclose(judged, engine.infer(window), atol=1e-5)
    with pytest.raises(InspectionError, match="a frame of bi_crrn_ed_attn is uint8"):
        engine.look(frames[0, :20])


class SlowRequest:
    """A request that runs, as far as anybody can tell, until it is waited for."""

    def __init__(self, request, failure=None):
        self.request, self.failure = request, failure
        self.waited = False

    def __getattr__(self, name):
        return getattr(self.request, name)

    def wait(self):
        self.request.wait()
        self.waited = True
        if self.failure:
            raise RuntimeError(self.failure)


def test_what_a_step_reads_and_writes_is_kept_until_it_is_done(model):
    engine = InferenceEngine(model, "cpu", "fp32", "openvino")
    reference = InferenceEngine(model, "cpu", "fp32", "torch")
    runner = engine._backend._runner
    step = runner._step
    pools = [runner._look_outputs, *step._outputs.values()]
    usual = step.requests["step"]
    slow = step.requests["step"] = SlowRequest(usual)
    (first, other) = windows()
    progress = engine.advance(None, engine.look(first[0]))
    progress = engine.advance(progress, engine.look(first[1]))
    before = sum(len(pool._spare) for pool in pools)
    del progress  # the window is broken off
    after = sum(len(pool._spare) for pool in pools)
    assert not slow.waited and after == before + 1  # the first look, which nobody reads
    np.testing.assert_allclose(engine.infer(other), reference.infer(other), atol=1e-4)
    assert slow.waited


def test_a_step_that_fails_fails_its_own_window_alone(model):
    engine = InferenceEngine(model, "cpu", "fp32", "openvino")
    reference = InferenceEngine(model, "cpu", "fp32", "torch")
    step = engine._backend._runner._step
    usual = step.requests["step"]
    for failing in (1, 2):  # the last frame's is told by `judge`, another one's by the next
        progress = None
        for number, frame in enumerate(windows(1)[0]):
            step.requests["step"] = SlowRequest(usual, "no luck" * (number == failing))
            if number == failing + 1:
                for _ in range(2):  # however often it is tried
                    with pytest.raises(RuntimeError, match="no luck"):
                        engine.advance(progress, engine.look(frame))
                break
            progress = engine.advance(progress, engine.look(frame))
        else:
            with pytest.raises(RuntimeError, match="no luck"):
                engine.judge(progress)
        step.requests["step"] = usual
        (window,) = windows(1)
        np.testing.assert_allclose(engine.infer(window), reference.infer(window), atol=1e-4)


class SignalStack(ctypes.Structure):
    """As sigaltstack(2) has it."""

    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def signal_stack_is_there():
    """Whether this thread's stack for signal handlers, if it has one, is memory of the process."""
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    if stack.start is None:
        return True
    spans = [line.split()[0].split("-") for line in open("/proc/self/maps")]
    return any(int(first, 16) <= stack.start < int(end, 16) for first, end in spans)


def test_signals_can_be_handled_after_engines_have_come_and_gone(model):
    """On a freed stack the next signal, such as a child's end or Ctrl-C, would be the last."""
    first = InferenceEngine(model, "cpu", "fp32", "openvino")
    second = InferenceEngine(model, "cpu", "fp32", "openvino")
    del first
    gc.collect()
    del second
    gc.collect()
    assert signal_stack_is_there()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("name", CONVERTED)
def test_a_cuda_card_computes_what_the_processor_computes(tmp_path, name):
    path = save(tmp_path / f"{name}.safetensors", name)
    processor, card = (InferenceEngine(path, device, "fp32") for device in ("cpu", "cuda"))
    for window in windows():
        wanted = processor.infer(window)
        progress = None
        for frame in window:
            progress = card.advance(progress, card.look(frame))
        for found in (card.infer(window), card.judge(progress)):
            np.testing.assert_allclose(found, wanted, atol=5e-3)  # convolutions in TF32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
@pytest.mark.parametrize("name", ["bi_crrn_e", "bi_crrn_ed_attn", "unet"])
def test_a_cuda_card_keeps_looks_for_windows_that_overlap(tmp_path, name):
    path = save(tmp_path / "model.safetensors", name)
    processor, card = (InferenceEngine(path, device, "fp32") for device in ("cpu", "cuda"))
    frames = np.concatenate(windows())
    looks = [card.look(frame) for frame in frames]
    for first in (2, 0, 3, 1):
        progress = None
        for look in looks[first : first + 3]:
            progress = card.advance(progress, look)
        wanted = processor.infer(frames[first : first + 3])
        np.testing.assert_allclose(card.judge(progress), wanted, atol=5e-3)


def test_what_is_recorded_is_convolved_by_cudnn():
    with fastest_convolutions():
        assert torch.backends.cudnn.enabled and torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.benchmark


class Stream:
    """As much of a CUDA stream as `judge_side_by_side` uses: what it has done or waited for."""

    current = None

    def __init__(self):
        self.done = set()

    def record_event(self):
        return frozenset(self.done)

    def wait_event(self, event):
        self.done |= event

    def __enter__(self):
        self.before, Stream.current = Stream.current, self

    def __exit__(self, *_):
        Stream.current = self.before


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mask_rcnn"])
def test_side_by_side_each_part_waits_for_what_it_reads(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream.current)
    main = Stream()
    monkeypatch.setattr(Stream, "current", main)
    torch.manual_seed(0)
    network = build_network(NetworkConfig(name, **SMALL)).eval()
    frames = torch.rand(1, 3, 3, 24, 32) * 2 - 1
    made = []  # parts that have run

    def watched(part):
        def work(*tracks):
            for track in tracks:
                assert known.get(id(track), set()) <= Stream.current.done
            added = part.work(*tracks)
            made.append(part)
            Stream.current.done.add(len(made))
            known.update((id(track), {len(made)}) for track in added)
            kept.append(added)
            return added

        return Part(work, part.reads)

    known, kept = {}, []
    stages = network.stages()
    monkeypatch.setattr(network, "stages", lambda: [tuple(map(watched, s)) for s in stages])
    with torch.inference_mode():
        tracks = [part.chunk(3) for part in network.look(frames[0])]
        found = judge_side_by_side(network, tracks, (24, 32))
        assert main.done == set(range(1, len(made) + 1))  # all are joined
        assert len(made) == sum(map(len, stages))
        torch.testing.assert_close(found, network(frames))


def test_auto_measures_and_says_why(model, monkeypatch):
    engine = InferenceEngine(model, "cpu", "fp32", "auto")
    assert engine.info.backend in ("torch", "openvino")
    chosen, other = sorted(("torch", "openvino"), key=lambda name: name != engine.info.backend)
    assert re.fullmatch(rf"{chosen} fp32 \d+ ms a window, {other} fp32 \d+ ms", engine.info.reason)
    assert InferenceEngine(model, "cpu", "int8", "auto").info.reason == (
        "openvino: the one that computes in int8"
    )


@pytest.mark.parametrize(
    ("slowed", "taken"),
    [
        ((engine_module, "TorchBackend"), "openvino"),
        ((openvino_backend, "OpenVinoBackend"), "torch"),
    ],
)
def test_auto_takes_the_faster_one(model, monkeypatch, slowed, taken):
    monkeypatch.setattr(*slowed, slow(getattr(*slowed)))
    assert InferenceEngine(model, "cpu", "fp32", "auto").info.backend == taken


def test_auto_takes_int8_only_where_it_was_exported_and_agrees(tmp_path, monkeypatch):
    path = save(tmp_path / "model.safetensors", "bi_crrn_e")
    monkeypatch.setattr(engine_module, "TorchBackend", slow(engine_module.TorchBackend))
    info = InferenceEngine(path, "cpu", "auto", "auto").info
    assert info.precision != "int8" and f"; {info.shortfall}" in info.reason
    assert info.shortfall.startswith("int8 was not exported for")
    exported(path, "int8")
    assert 0.0 <= agreement(path) <= 1.0
    monkeypatch.setattr(engine_module, "INT8_AGREEMENT", 1.01)
    info = InferenceEngine(path, "cpu", "auto", "auto").info
    assert info.precision != "int8" and "% of defect pixels only" in info.reason
    monkeypatch.setattr(engine_module, "INT8_AGREEMENT", 0.0)
    info = InferenceEngine(path, "cpu", "auto", "auto").info
    assert re.search(r"openvino int8 \d+ ms", info.reason) and info.shortfall == ""
    monkeypatch.setattr(engine_module, "CLEARLY_FASTER", 1e9)  # whatever comes last
    info = InferenceEngine(path, "cpu", "auto", "auto").info
    assert (info.backend, info.precision) == ("openvino", "int8")
    with monkeypatch.context() as other:  # another kind of processor
        other.setattr(openvino_export, "_processor", lambda: "no vnni, f32 beside")
        assert agreement(path) is None
    assert agreement(path) is not None
    save(path, "bi_crrn_e", seed=8)  # other weights: the files are not theirs
    assert agreement(path) is None


def test_export_tells_what_it_makes(tmp_path, capsys):
    path = save(tmp_path / "model.safetensors", "crrn", channels=2)
    assert export(["--model", str(path), "--precision", "int8"]) == 0
    told = capsys.readouterr().out
    assert f"{path}: {tmp_path / 'model.openvino_int8'}\n" in told  # after NNCF's progress
    assert f"{100 * agreement(path):.1f} % of defect pixels as in fp32" in told


def test_a_fault_of_the_converter_is_told_and_auto_does_without(tmp_path, monkeypatch):
    def fail(*given):
        raise RuntimeError("no kernel for this\nat line 7")

    path = save(tmp_path / "model.safetensors", "bi_crrn_e")
    monkeypatch.setattr(openvino_export, "_check", fail)
    message = "OpenVINO cannot export .*model.safetensors as float .no kernel for this.: use"
    with pytest.raises(InspectionError, match=message):
        InferenceEngine(path, "cpu", "fp32", "openvino")
    info = InferenceEngine(path, "cpu", "fp32", "auto").info
    assert info.backend == "torch" and "no kernel for this" in info.reason
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_fault_at_the_first_window_is_told_and_auto_does_without(model, monkeypatch):
    def fail(*given):
        raise RuntimeError("not enough memory\nat line 7")

    monkeypatch.setattr(openvino_backend.OpenVinoBackend, "look", fail)
    told = "backend 'openvino' fails in fp32 on cpu at its first window: not enough memory"
    with pytest.raises(InspectionError, match=f"^{told}$"):
        InferenceEngine(model, "cpu", "fp32", "openvino")
    info = InferenceEngine(model, "cpu", "fp32", "auto").info
    assert info.backend == "torch" and info.shortfall == told


def test_what_a_backend_does_without_is_told(model, monkeypatch):
    monkeypatch.setattr(engine_module.TorchBackend, "shortfall", "no C compiler")
    info = InferenceEngine(model, "cpu", "fp32", "torch").info
    assert (info.reason, info.shortfall) == ("torch: as asked for; no C compiler", "no C compiler")


def test_a_network_without_gates_has_no_int8_to_do_without(tmp_path):
    info = InferenceEngine(save(tmp_path / "unet.safetensors", "unet"), "cpu", "auto", "auto").info
    assert info.shortfall == "" and "int8" not in info.reason


def slow(backend):
    class Slow(backend):
        def judge(self, *window):
            time.sleep(2.0)
            return super().judge(*window)

    return Slow


def test_a_network_that_openvino_cannot_take_over(tmp_path):
    path = save(tmp_path / "boxes.safetensors", "mask_rcnn")
    with pytest.raises(InspectionError, match="OpenVINO cannot take mask_rcnn over"):
        InferenceEngine(path, "cpu", "fp32", "openvino")
    info = InferenceEngine(path, "cpu", "fp32", "auto").info
    assert info.backend == "torch" and "OpenVINO cannot take mask_rcnn over" in info.reason
    assert [file.name for file in tmp_path.iterdir()] == ["boxes.safetensors"]


def test_a_network_that_does_not_do_the_same_for_every_window(tmp_path, monkeypatch):
    class Moody(UNet):
        def segment(self, frames):
            logits = super().segment(frames)
            return -logits if frames.mean() < 0 else logits

    monkeypatch.setitem(NETWORKS, "moody", Moody)
    path = save(tmp_path / "moody.safetensors", "moody")
    with pytest.raises(InspectionError, match="OpenVINO cannot take moody over .its answers"):
        InferenceEngine(path, "cpu", "fp32", "openvino")


def test_a_network_whose_parts_hand_on_what_they_read(tmp_path, monkeypatch):
    class Lazy(UNet):
        def finish_reads(self, tracks):
            return tracks[:1]  # not what the stage adds

        def stages(self):
            return [(Part(lambda frames: [frames], (0,)),)]

    monkeypatch.setitem(NETWORKS, "lazy", Lazy)
    path = save(tmp_path / "lazy.safetensors", "lazy")
    with pytest.raises(InspectionError, match="OpenVINO cannot take lazy over .stage_1_1 gives"):
        InferenceEngine(path, "cpu", "fp32", "openvino")
    assert InferenceEngine(path, "cpu", "fp32", "auto").info.backend == "torch"


def test_bad_choices(model, tmp_path):
    with pytest.raises(InspectionError, match="no backend 'tvm'"):
        InferenceEngine(model, backend="tvm")
    with pytest.raises(InspectionError, match="'torch' has no precision 'int8'"):
        InferenceEngine(model, "cpu", "int8", "torch")
    unet = save(tmp_path / "unet.safetensors", "unet")
    with pytest.raises(NoGatesError, match="unet has no gates to compute in int8"):
        InferenceEngine(unet, "cpu", "int8", "auto")
    with pytest.raises(InspectionError, match="no export 'int4'"):
        exported(model, "int4")


def test_files_stand_beside_the_weights_and_follow_them(tmp_path):
    path = save(tmp_path / "mine.safetensors", "bi_crrn_e")
    folder = exported(path)
    assert folder == tmp_path / "mine.openvino_float"
    made = (folder / "finish.xml").stat().st_mtime_ns
    assert exported(path) == folder
    assert (folder / "finish.xml").stat().st_mtime_ns == made  # still of these weights
    save(path, "bi_crrn_e", seed=1)
    engine = InferenceEngine(path, "cpu", "fp32", "openvino")
    assert (folder / "finish.xml").stat().st_mtime_ns > made
    wanted = InferenceEngine(path, "cpu", "fp32").infer(windows()[0])
    np.testing.assert_allclose(engine.infer(windows()[0]), wanted, atol=2e-4)
    for name in ("finish.xml", "look.xml", "look.bin", "stage_1_2.bin"):
        (folder / name).write_text("<net")  # cut off
        InferenceEngine(path, "cpu", "fp32", "openvino")
    (folder / "finish.xml").unlink()
    InferenceEngine(path, "cpu", "fp32", "openvino")
    assert folder.stat().st_mode & 0o055 == 0o055  # for other users to read
    assert {file.name for file in tmp_path.iterdir()} == {"mine.safetensors", folder.name}


def test_files_of_weights_that_stand_where_nothing_can_be_written(tmp_path, monkeypatch):
    path = save(tmp_path / "shared" / "theirs.safetensors", "crrn")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_folder = openvino_export.tempfile.mkdtemp

    def refuse(prefix, dir):
        if dir == path.parent:
            raise PermissionError(13, "Permission denied")
        return make_folder(prefix=prefix, dir=dir)

    monkeypatch.setattr(openvino_export.tempfile, "mkdtemp", refuse)
    folder = exported(path)
    assert folder.parent == tmp_path / "cache" / "weld_inspection"
    assert folder.name.startswith("theirs.openvino_float_")
    assert exported(path) == folder
