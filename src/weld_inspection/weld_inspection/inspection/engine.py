"""The inference engine: a window of frames in, defect probabilities out."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from weld_inspection.errors import InspectionError, first_line
from weld_inspection.inspection.torch_backend import CudaGraphBackend, TorchBackend
from weld_inspection.inspection.views import VIEWS, SeveralViews
from weld_inspection.networks.cstm import CSTM
from weld_inspection.networks.weights import Model, load_model

BACKENDS = ("auto", "torch", "openvino")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "int8")
TIMED_WINDOWS = 3
CLEARLY_FASTER = 0.9  # of the other one's time
INT8_AGREEMENT = 0.98  # intersection over union of defect pixels with fp32's


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine runs, as DetectorInfo publishes it.

    Attributes:
        model_id: File name and first 12 digits of its SHA-256.
        architecture: Name in the networks' registry.
        backend: Library that computes.
        reason: Why this backend.
        shortfall: What "auto" could not take and why, so that this may be slower than need be;
            empty where it had its choice.
        device: "cpu" or "cuda".
        precision: "fp32", "bf16" or "int8".
        views: From how many sides each window is seen.
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        window: T, frames in a window.
        threshold: Probability above which a pixel is defect, as the model file says.
    """

    model_id: str
    architecture: str
    backend: str
    reason: str
    shortfall: str
    device: str
    precision: str
    views: int
    width: int
    height: int
    window: int
    threshold: float

    def how(self) -> dict[str, str | int]:
        """Returns how it computes, for what is kept of its figures."""
        names = ("backend", "device", "precision", "views")
        return {name: getattr(self, name) for name in names}


class Progress(NamedTuple):
    """What an engine has done of a window's first frames.

    Attributes:
        looks: What the backend made of each frame by itself.
        given: What it made of each frame and those before.
        state: What it goes on from at the next frame.
    """

    looks: tuple[Any, ...]
    given: tuple[Any, ...]
    state: Any


class Backend(Protocol):
    """A library that runs a network; see SegmentationNetwork for what the methods mean.

    Attributes:
        name: Of the library.
        shortfall: Why it is slower than it could be; empty where it is not.
    """

    name: str
    shortfall: str

    def infer(self, window: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 to (T, H, W) float32."""

    def look(self, frame: np.ndarray) -> Any:
        """(H, W, 3) uint8 to what `advance` and `judge` take of it."""

    def advance(self, look: Any, state: Any) -> tuple[Any, Any]:
        """A frame's look and the state before it, None at first, to what it adds and the next."""

    def judge(self, looks: Sequence[Any], given: Sequence[Any], state: Any) -> np.ndarray:
        """What T frames came to, and the state after the last, to (T, H, W) float32."""


class InferenceEngine:
    """A loaded network, ready for windows; live, offline and evaluation all use this one."""

    def __init__(
        self,
        model: Path | str,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "torch",
        views: int = 1,
    ) -> None:
        """Loads a model and warms it up with one window.

        Args:
            model: A .safetensors file of `networks.weights.save_model`.
            device: "cpu", "cuda", or "auto": CUDA where there is one.
            precision: "fp32", "bf16", "int8" (of backend openvino), or "auto": bf16 where the
                processor computes it natively, else fp32.
            backend: "torch", the reference, "openvino", or "auto": the reference unless the other
                one is clearly faster here, as measured. With precision "auto" as well, that may be
                in int8, where `export` has made the model's int8 files and found them to agree.
            views: 1, or 2 or 4 for the mean of as many mirrored views of each window, in as many
                times the time.

        Raises:
            ModelError: The file is absent, damaged or of an unknown network.
            InspectionError: Device, precision, backend or number of views cannot be had here.
        """
        if views not in VIEWS:
            raise InspectionError(f"views is {views}: give one of {', '.join(map(str, VIEWS))}")
        device = choose_device(device)
        loaded = load_model(Path(model))
        config = loaded.config
        self._backend, precision, reason, shortfall = _choose_backend(
            backend, Path(model), loaded, device, precision
        )
        if views > 1:
            self._backend = SeveralViews(self._backend, views)
            reason += f"; the mean of {views} mirrored views of each window"
        self.info = EngineInfo(
            loaded.model_id,
            config.architecture,
            self._backend.name,
            reason,
            shortfall,
            device,
            precision,
            views,
            config.width,
            config.height,
            config.window,
            loaded.threshold,
        )
        self._lock = threading.Lock()

    def infer(self, window: np.ndarray) -> np.ndarray:
        """Returns the defect probability of every pixel.

        Args:
            window: (T, H, W, 3) uint8, RGB, at the network's size.

        Returns:
            (T, H, W) float32 in [0, 1].

        Raises:
            InspectionError: The window is of another shape or type.
        """
        info = self.info
        self._check("window", window, (info.window, info.height, info.width, 3))
        with self._lock:
            return self._backend.infer(window)

    def look(self, frame: np.ndarray) -> Any:
        """Does what can be done of one frame alone, once where windows overlap.

        Args:
            frame: (H, W, 3) uint8, RGB, at the network's size.

        Returns:
            What `advance` takes of this frame.

        Raises:
            InspectionError: The frame is of another shape or type.
        """
        self._check("frame", frame, (self.info.height, self.info.width, 3))
        with self._lock:
            return self._backend.look(frame)

    def advance(self, progress: Progress | None, look: Any) -> Progress:
        """Does what can be done of a window's next frame before the later ones are there.

        Args:
            progress: Of the frames before; None begins a window.
            look: At the frame.

        Returns:
            What there is of the window now.
        """
        looks, given, state = progress or Progress((), (), None)
        with self._lock:
            added, state = self._backend.advance(look, state)
        return Progress((*looks, look), (*given, added), state)

    def judge(self, progress: Progress) -> np.ndarray:
        """Does the rest; `look`, `advance` and `judge` are `infer`, to rounding.

        Args:
            progress: Of the T frames of a window.

        Returns:
            (T, H, W) float32 in [0, 1].

        Raises:
            InspectionError: They are not T.
        """
        if len(progress.looks) != self.info.window:
            raise InspectionError(
                f"a window of {self.info.architecture} has {self.info.window} frames, "
                f"not {len(progress.looks)}"
            )
        with self._lock:
            return self._backend.judge(*progress)

    def _check(self, what: str, array: np.ndarray, wanted: tuple[int, ...]) -> None:
        if array.shape != wanted or array.dtype != np.uint8:
            raise InspectionError(
                f"a {what} of {self.info.architecture} is uint8 {wanted}, "
                f"this one is {array.dtype} {array.shape}: resize the frames first"
            )


def _choose_backend(
    name: str, path: Path, loaded: Model, device: str, precision: str
) -> tuple[Backend, str, str, str]:
    """Returns a backend that has run a window, its precision, why it is this one, what is amiss."""
    if name not in BACKENDS:
        raise InspectionError(f"there is no backend {name!r}: give one of {', '.join(BACKENDS)}")
    usual = choose_precision(precision, device)
    config = loaded.config
    window = np.zeros((config.window, config.height, config.width, 3), np.uint8)
    if name == "auto" and device != "cpu":
        name, reason = "torch", f"torch: the one that runs on {device}"
    elif name == "auto" and usual == "int8":
        name, reason = "openvino", "openvino: the one that computes in int8"
    else:
        reason = f"{name}: as asked for"
    if name != "auto":
        backend = _tried(name, path, loaded, device, usual, window)
        reason = "; ".join(filter(None, (reason, backend.shortfall)))
        return backend, usual, reason, backend.shortfall
    reference = _tried("torch", path, loaded, device, usual, window)
    candidates = [(reference, usual)]
    shortfall = ""
    try:
        candidates.append((_tried("openvino", path, loaded, device, usual, window), usual))
        if precision == "auto" and _has_gates(loaded.network):
            shortfall = _int8_note(path)
            if not shortfall:
                int8 = _tried("openvino", path, loaded, device, "int8", window)
                candidates.append((int8, "int8"))
    except InspectionError as error:
        shortfall = str(error)
    seconds = _time([backend for backend, _ in candidates], window)
    # Where two take about as long it shall be the same one at every start: a replay then gives the
    # same bits.
    best = 0
    for number in range(1, len(candidates)):
        if seconds[number] < CLEARLY_FASTER * seconds[best]:
            best = number
    told = [
        f"{backend.name} {precision} {1000 * time:.0f} ms"
        for (backend, precision), time in zip(candidates, seconds, strict=True)
    ]
    told.insert(0, f"{told.pop(best)} a window")
    return *candidates[best], "; ".join(filter(None, (", ".join(told), shortfall))), shortfall


def _tried(
    name: str, path: Path, loaded: Model, device: str, precision: str, window: np.ndarray
) -> Backend:
    """Returns a backend that has run a window.

    The first one allocates and compiles kernels: not at the cost of the first weld.

    Raises:
        InspectionError: It cannot be made, or fails at its first window.
    """
    backend = _make(name, path, loaded, device, precision)
    try:
        _inspect(backend, window)
    except (RuntimeError, MemoryError) as error:  # what libraries raise, whatever went wrong
        raise InspectionError(
            f"backend {name!r} fails in {precision} on {device} at its first window: "
            f"{first_line(error)}"
        ) from error
    return backend


def _inspect(backend: Backend, window: np.ndarray) -> None:
    """Runs a window as its frames come; torch takes longer so than for the whole at once."""
    looks, given, state = [], [], None
    for frame in window:
        looks.append(backend.look(frame))
        added, state = backend.advance(looks[-1], state)
        given.append(added)
    backend.judge(looks, given, state)


def _time(backends: Sequence[Backend], window: np.ndarray) -> list[float]:
    """Median seconds that a window takes, all in turn; each has run one before."""
    times: list[list[float]] = [[] for _ in backends]
    for _ in range(TIMED_WINDOWS):
        for backend, seconds in zip(backends, times, strict=True):
            began = time.perf_counter()
            _inspect(backend, window)
            seconds.append(time.perf_counter() - began)
    return [median(seconds) for seconds in times]


def _has_gates(network: nn.Module) -> bool:
    """Whether there is something to compute in int8."""
    return any(isinstance(module, CSTM) for module in network.modules())


def _int8_note(path: Path) -> str:
    """Why int8 is not to be taken unasked; empty where it may be."""
    from weld_inspection.inspection.openvino_export import agreement

    found = agreement(path)
    if found is None:
        return (
            "int8 was not exported for these weights, libraries and processor (ros2 run "
            f"weld_inspection export --precision int8 --model {path})"
        )
    if found < INT8_AGREEMENT:
        return f"int8 agrees with fp32 in {100 * found:.1f} % of defect pixels only"
    return ""


def _make(name: str, path: Path, loaded: Model, device: str, precision: str) -> Backend:
    if name == "torch":
        if precision == "int8":
            text = "backend 'torch' has no precision 'int8': use 'openvino' or 'bf16'"
            raise InspectionError(text)
        if device == "cuda" and loaded.network.works_alike:
            try:
                return CudaGraphBackend(loaded.network, precision)
            except RuntimeError as error:
                raise InspectionError(
                    f"the card cannot record a window of {loaded.config.architecture} "
                    f"({first_line(error)}): free its memory, set works_alike of the network to "
                    "False where its work depends on what it sees, or set device to 'cpu'"
                ) from error
        return TorchBackend(loaded.network, device, precision)
    if device != "cpu":
        raise InspectionError(f"openvino runs on 'cpu', not on {device!r}: set device to 'cpu'")
    # Imported here: it takes a part of a second that whoever uses torch need not wait for.
    from weld_inspection.inspection.openvino_backend import OpenVinoBackend

    return OpenVinoBackend(path, precision)


def choose_device(name: str) -> str:
    """Returns "cpu" or "cuda" for a device's name.

    Raises:
        InspectionError: There is no such device, or not here.
    """
    if name not in DEVICES:
        raise InspectionError(f"there is no device {name!r}: give one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InspectionError(
            "device 'cuda' was asked for, but torch sees none: use 'cpu' or 'auto'"
        )
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def choose_precision(name: str, device: str) -> str:
    """Returns "fp32", "bf16" or "int8" for a precision's name; "auto" is bf16 where it is native.

    Raises:
        InspectionError: There is no such precision.
    """
    if name not in PRECISIONS:
        raise InspectionError(f"no precision {name!r}: give one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"
