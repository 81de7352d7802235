"""How long a window takes, backend by backend, against eq. (1) written out; how that grows."""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from functools import partial
from itertools import islice, product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from weld_inspection.benchmarks.gate_by_gate import written_out
from weld_inspection.errors import InspectionError, first_line
from weld_inspection.evaluation.scores import count_operations
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.engine import (
    InferenceEngine,
    choose_device,
    choose_precision,
)
from weld_inspection.inspection.inspector import Inspector, WindowsAtOnce
from weld_inspection.inspection.openvino_export import NoGatesError, exported
from weld_inspection.inspection.torch_backend import Recorded, normalise
from weld_inspection.inspection.windows import FrameWindows
from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.fused import fuse_steps
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.segmentation_network import DEFECT_LOGIT
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.provenance import provenance
from weld_inspection.simulation.weld import SimulatedWeld

PEER = "eq. (1) gate by gate"
CANDIDATES = (("torch", "fp32"), ("torch", "bf16"), ("openvino", "bf16"), ("openvino", "int8"))
IN_TURN = 5  # windows of a backend that are counted before it is another's turn
PERIOD_NS = 50_000_000
SEED = 910_000  # of a weld that nothing is trained on, calibrated by or judged by
DENSITY = 34.0  # defects to a metre, as the validation clips have
# What growth is measured of: the network's options, where they are not the paper's, and the stride,
# 0 for whole windows. Detectors beside each other run the first one.
CASES: dict[str, tuple[dict[str, int], int]] = {
    "as in the paper": ({}, 0),
    "T = 5": ({"window": 5}, 0),
    "T = 20": ({"window": 20}, 0),
    "stride 5": ({}, 5),
    "stride 2": ({}, 2),
    "stride 1": ({}, 1),
    "32 channels": ({"channels": 32}, 0),
    "128 channels": ({"channels": 128}, 0),
    "80x45": ({"width": 80, "height": 45}, 0),
    "320x180": ({"width": 320, "height": 180}, 0),
}
DETECTORS = (1, 2, 4)  # beside each other
AT_ONCE = 64  # windows of a card's throughput
MATRIX = 8192  # rows and columns of the product that tells what a card can do
REPEATS = 20
PATIENCE_S = 600.0


def measure_engines(model: Path, *, windows: int = 50, device: str = "auto") -> dict[str, Any]:
    """Times camera frames to decided windows, every backend in turn on the same few of them.

    A window's time is that of ten 1280x720 frames' resize, the network, masks, regions and tracks.
    The peer is the same with eq. (1) gate by gate, eager, in fp32. Apart from it the time is told
    that is left at the last frame, once what can be done as frames come is done, but for the rest
    of what still runs of the frame before. The first window of each turn is not counted: it pays
    for what the one before has left in the caches.

    Args:
        model: Model file.
        windows: Windows of each that are counted.
        device: As InferenceEngine's.

    Returns:
        Plain values: for each backend the medians in milliseconds, of all and of what is left at
        the last frame, the ratio of all to the peer's, and how its masks agree with fp32's
        (intersection over union of defect pixels, all windows'); `made_with`.

    Raises:
        InspectionError: The model cannot be used.
    """
    device = choose_device(device)
    candidates = [item for item in CANDIDATES if device == "cpu" or item[0] == "torch"]
    engines = {f"{b} {p}": InferenceEngine(model, device, p, b) for b, p in candidates}
    reference = engines["torch fp32"]
    engines = {PEER: _Peer(model, device)} | engines
    inspectors = {
        name: Inspector(engine, settings=DecisionSettings(reference.info.threshold))
        for name, engine in engines.items()
    }
    times: dict[str, list[float]] = {name: [] for name in engines}
    left: dict[str, list[float]] = {name: [] for name in engines}
    masks: dict[str, list[np.ndarray]] = {name: [] for name in engines}
    turns = -(-windows // IN_TURN)
    weld = _camera_windows(reference.info.window, windows + turns)
    for _ in range(turns):
        few = list(islice(weld, 1 + IN_TURN))
        for (name, inspector), (number, frames) in product(inspectors.items(), enumerate(few)):
            began = time.perf_counter()
            for frame, stamp_ns in frames[:-1]:
                inspector.add(frame, stamp_ns)
                inspector.work_ahead()
            last_came = time.perf_counter()
            results = inspector.add(*frames[-1])
            done = time.perf_counter()
            if number:
                times[name].append(done - began)
                left[name].append(done - last_came)
            masks[name] += [frame.mask > 0 for result in results for frame in result.frames]
    wanted = np.stack(masks["torch fp32"])
    rows = {}
    for name in engines:
        found = np.stack(masks[name])
        rows[name] = {
            "milliseconds": 1000 * median(times[name]),
            "milliseconds_at_the_last_frame": 1000 * median(left[name]),
            "ratio": median(times[PEER]) / median(times[name]),
            "iou": float((found & wanted).sum() / max(1, (found | wanted).sum())),
        }
    result = {
        "model": reference.info.model_id,
        "threshold": reference.info.threshold,
        "device": device,
        "threads": torch.get_num_threads(),
        "windows": windows,
        "defect_pixels": int(wanted.sum()),
        "backends": rows,
    }
    if device == "cuda":
        try:
            result["at_once"] = measure_throughput(model)
        except InspectionError as error:
            result["not_at_once"] = str(error)
    return result | {"made_with": provenance()}


def measure_throughput(model: Path, *, windows: int = AT_ONCE) -> dict[str, Any]:
    """Times many windows at once in bf16 on a CUDA card, and a matrix product beside them.

    Args:
        model: Model file.
        windows: How many.

    Returns:
        Plain values: windows a second, trillions of operations a second of them and of the product,
        and why the network's steps are not fused, empty where they are.

    Raises:
        InspectionError: The card cannot record so many, or the network does not do the same for
            every window.
    """
    network = load_model(model).network
    config = network.config
    if not network.works_alike:
        raise InspectionError(f"{config.architecture} does not do the same for every window")
    rng = np.random.default_rng(SEED)
    shape = (config.window, config.height, config.width, 3)
    pixels = rng.integers(0, 256, (windows, *shape), np.uint8)
    operations = windows * count_operations(network, pixels[0])
    network = network.to(device="cuda", dtype=torch.bfloat16).channels_last()
    note = fuse_steps(network, training=False)
    frames = normalise(torch.from_numpy(pixels).to("cuda").permute(0, 1, 4, 2, 3))
    frames = frames.to(torch.float32 if network.takes_exact_frames else torch.bfloat16)
    try:
        seconds = _seconds_on_card(Recorded(lambda: network(frames)).replay)
    except RuntimeError as error:
        told = f"the card cannot record {windows} windows: {first_line(error)}"
        raise InspectionError(told) from error
    left, right = torch.randn(2, MATRIX, MATRIX, dtype=torch.bfloat16, device="cuda")
    product = _seconds_on_card(lambda: torch.mm(left, right))
    return {
        "windows": windows,
        "windows_a_second": windows / seconds,
        "tera_operations_a_second": operations / seconds / 1e12,
        "matrix_tera_operations_a_second": 2 * MATRIX**3 / product / 1e12,
        "not_fused": note,
    }


def _seconds_on_card(work: Callable[[], object]) -> float:
    """Median seconds of what a CUDA card does, after a first time."""
    work()
    times = []
    for _ in range(REPEATS):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        work()
        ended.record()
        ended.synchronize()
        times.append(began.elapsed_time(ended) / 1000)
    return median(times)


def measure_growth(network: str, *, windows: int = 5) -> dict[str, Any]:
    """Times how a window's cost grows with T, stride, channels, image size and detectors.

    The cases take turns, so that they meet the same machine: two windows each, the first of which,
    which pays for what the case before has left in the caches, is not counted.
    With fresh weights, on a processor by OpenVINO, in bf16 or fp32 as the machine prefers;
    detectors beside each other, on a processor, in int8 where the network has it, as they run live.
    A stride's cost is that of the frames between two windows, so of less than a window.

    Args:
        network: Name in the registry.
        windows: Windows of each that are counted.

    Returns:
        Plain values: milliseconds by case, and by the number of detectors beside each other.
    """
    device = choose_device("auto")
    backend = "openvino" if device == "cpu" else "torch"
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for name, (options, stride) in CASES.items():
            path = _fresh_model(Path(folder), network, options)
            cases[name] = _window_times(InferenceEngine(path, backend=backend), stride)
        seconds = [[list(islice(case, 2))[-1] for case in cases.values()] for _ in range(windows)]
        milliseconds = {
            name: 1000 * median(times)
            for name, times in zip(cases, zip(*seconds, strict=True), strict=True)
        }
        options, _ = next(iter(CASES.values()))
        path = _fresh_model(Path(folder), network, options)
        precision = _live_precision(path, device)
        detectors = {
            count: 1000 * _time_detectors(path, backend, precision, count, windows)
            for count in DETECTORS
        }
    return {
        "network": network,
        "device": device,
        "backend": backend,
        "precision": choose_precision("auto", device),
        "threads": torch.get_num_threads(),
        "milliseconds": milliseconds,
        "detectors_precision": precision,
        "detectors": detectors,
        "made_with": provenance(),
    }


def _fresh_model(folder: Path, network: str, options: dict[str, int]) -> Path:
    """Writes a model with fresh weights, one for the same options: the strides share an export."""
    named = "_".join(f"{name}_{value}" for name, value in options.items())
    path = folder / f"model_{named}.safetensors"
    if not path.is_file():
        torch.manual_seed(SEED)
        save_model(path, build_network(NetworkConfig(network, **options)))
    return path


class _Peer(WindowsAtOnce):
    """Eq. (1) written out, in plain torch, as the inspector takes an engine."""

    def __init__(self, model: Path, device: str) -> None:
        loaded = load_model(model)
        self.info = loaded.config
        self._network = written_out(loaded.network).eval().to(device)
        self._device = device

    @torch.inference_mode()
    def judge(self, frames: tuple[np.ndarray, ...]) -> np.ndarray:
        pixels = torch.from_numpy(np.stack(frames)).to(self._device)
        logits = self._network(normalise(pixels.permute(0, 3, 1, 2).contiguous())[None])
        return torch.sigmoid(logits[0, :, DEFECT_LOGIT]).cpu().numpy()


def _camera_windows(length: int, count: int) -> Iterator[list[tuple[np.ndarray, int]]]:
    """Renders a weld, window by window: camera frames with their stamps."""
    weld = SimulatedWeld(SEED, duration=count * length / 20, defects_per_metre=DENSITY)
    for first in range(0, count * length, length):
        yield [(weld.image(first + k), (first + k) * PERIOD_NS) for k in range(length)]


def _live_precision(path: Path, device: str) -> str:
    """int8, which is made first, on a processor and for a network that can be had in it."""
    usual = choose_precision("auto", device)
    if device != "cpu":
        return usual
    try:
        exported(path, "int8")
    except NoGatesError:
        return usual
    return "int8"


def _window_times(engine: InferenceEngine, stride: int = 0) -> Iterator[float]:
    """Gives the seconds of window after window, resize and decision included."""
    collector = FrameWindows(engine.info.window, stride=stride or None)
    inspector = Inspector(engine, windows=collector)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    stamp_ns = 0
    while True:
        began = time.perf_counter()
        while not inspector.add(frame, stamp_ns):
            stamp_ns += PERIOD_NS
        stamp_ns += PERIOD_NS
        yield time.perf_counter() - began


def _time_detector(
    path: Path, backend: str, precision: str, windows: int, begin: Callable[[], object]
) -> list[float]:
    """Seconds of each window of a detector that starts to work when `begin` returns."""
    times = _window_times(InferenceEngine(path, precision=precision, backend=backend))
    begin()
    return list(islice(times, 1 + windows))[1:]


def _time_detectors(path: Path, backend: str, precision: str, count: int, windows: int) -> float:
    """Seconds a window of one of so many processes that work at the same time."""
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(count, context) as pool:
        barrier = manager.Barrier(count)
        begin = partial(barrier.wait, PATIENCE_S)
        detectors = [
            pool.submit(_time_detector, path, backend, precision, windows, begin)
            for _ in range(count)
        ]
        ended, _ = wait(detectors, return_when=FIRST_EXCEPTION)
        barrier.abort()  # where one has failed, the others wait for it
        for detector in ended:
            detector.result()
        return median(seconds for detector in detectors for seconds in detector.result())
