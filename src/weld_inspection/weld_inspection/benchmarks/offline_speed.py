"""How fast a video is inspected, from its file to the bag of masks and reports."""

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from weld_inspection.benchmarks.weld_video import render_video
from weld_inspection.camera.sources import open_recording
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.nodes.offline_inspection import inspect_recording
from weld_inspection.provenance import provenance

SEED = 910_200  # of a weld that nothing is trained on, calibrated by or judged by


def measure_offline(models: list[Path], *, frames: int = 600) -> dict[str, Any]:
    """Times `inspect_bag` on a video of a simulated weld, model after model.

    Args:
        models: Model files; each runs on the backend that a detector would take.
        frames: Of the video, at 20 a second.

    Returns:
        Plain values: for each model its backend with the reason, the seconds that it took and how
        many times faster than the camera that is; `made_with`.

    Raises:
        InspectionError: A model cannot be used.
    """
    with tempfile.TemporaryDirectory(prefix="offline_") as name:
        folder = Path(name)
        video = str(render_video(folder / "clips", SEED, frames))
        rows = {}
        for number, model in enumerate(models):
            engine = InferenceEngine(model, precision="auto", backend="auto")
            began = time.perf_counter()
            with closing(open_recording("video", video)) as recording:
                summary = inspect_recording(recording, None, engine, folder / f"bag_{number}")
            seconds = time.perf_counter() - began
            rows[engine.info.model_id] = {
                "backend": engine.info.reason,
                "seconds": round(seconds, 3),
                "times_real_time": round(summary.seconds / seconds, 3),
            }
    return {"frames": frames, "models": rows, "made_with": provenance()}
