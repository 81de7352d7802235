"""Which model file to inspect with."""

import time
from pathlib import Path

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.inspection.engine import InferenceEngine

SUFFIX = ".safetensors"
# The shipped models, the better one first: see models/*.md.
PREFERRED = ("bi_crrn_ed_attn", "bi_crrn_e")
# Part of the time between two windows that inference may take: camera, resizing, recording and
# messages share the processor with it.
HEADROOM = 0.6
# The other nodes start at the same time.
TIMINGS = 3


def find_model(name: str, folder: Path) -> Path:
    """Finds the model file that a user names.

    Args:
        name: Path of a model file, or the name of a shipped one with or without suffix.
        folder: Where the shipped models are.

    Returns:
        Path of a file that exists.

    Raises:
        InspectionError: There is no such file.
    """
    path = Path(name).expanduser()
    candidates = [path]
    if path.name == name:
        candidates += [folder / name, folder / f"{name}{SUFFIX}"]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    shipped = sorted(file.stem for file in folder.glob(f"*{SUFFIX}"))
    names = f"one of the shipped models ({', '.join(shipped)})" if shipped else "a model's name"
    raise InspectionError(f"no model '{name}': give the path of a {SUFFIX} file or {names}")


def choose_engine(
    folder: Path,
    *,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "torch",
    views: int = 1,
    frame_rate: float = 20.0,
    stride: int | None = None,
) -> tuple[InferenceEngine, str, str]:
    """Loads the best shipped model that keeps up with the camera here, or else the fastest.

    Args:
        folder: Where the shipped models are.
        device: As of InferenceEngine.
        precision: As of InferenceEngine.
        backend: As of InferenceEngine.
        views: As of InferenceEngine.
        frame_rate: Frames of the camera a second.
        stride: Frames from one window to the next; the model's T by default.

    Returns:
        The engine, a sentence on why it was chosen, and what it or a better model had to do
        without, as EngineInfo's `shortfall`.

    Raises:
        InspectionError: There is no shipped model, or one that is asked cannot be loaded.
    """
    paths = [path for name in PREFERRED if (path := folder / f"{name}{SUFFIX}").is_file()]
    if not paths:
        raise InspectionError(
            f"no model in {folder}: give parameter 'model' the path of a {SUFFIX} file"
        )
    reasons = []
    timed = []
    shortfalls = []
    for path in paths:
        engine = InferenceEngine(path, device, precision, backend, views)
        new = stride or engine.info.window
        budget = HEADROOM * new / frame_rate
        seconds = _time(engine, new, budget)
        where = f"{engine.info.device} by {engine.info.backend} in {engine.info.precision}"
        reasons.append(
            f"{path.stem} takes {seconds:.2f} s a window on {where}, {budget:.2f} s allowed"
        )
        if engine.info.shortfall:
            shortfalls.append(f"{path.stem}: {engine.info.shortfall}")
        timed.append((seconds, path.stem, engine))
        if seconds <= budget:
            break
    keeps_up = timed[-1][0] <= budget
    _, name, engine = timed[-1] if keeps_up else min(timed, key=lambda item: item[0])
    return engine, f"{name} chosen: {'; '.join(reasons)}", "; ".join(shortfalls)


def _time(engine: InferenceEngine, new: int, budget: float) -> float:
    """Seconds that a window takes as its frames come, where nothing else holds the processor up.

    That is the first time within the budget, or else the best of TIMINGS. The engine has been
    warmed up by its construction.

    Args:
        engine: The engine.
        new: Frames of a window that no window before had; the others have been looked at.
        budget: Seconds that are allowed.
    """
    info = engine.info
    frame = np.zeros((info.height, info.width, 3), np.uint8)
    known = engine.look(frame)
    seconds = []
    for _ in range(TIMINGS):
        began = time.perf_counter()
        progress = None
        for number in range(info.window):
            look = engine.look(frame) if number >= info.window - new else known
            progress = engine.advance(progress, look)
        engine.judge(progress)
        seconds.append(time.perf_counter() - began)
        if seconds[-1] <= budget:
            break
    return min(seconds)
