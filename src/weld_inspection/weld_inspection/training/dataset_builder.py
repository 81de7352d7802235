"""Builds a data set: clips of the simulated weld or of photographs, and their `dataset.json`.

OUT/dataset.json   what was asked for, what came out, the SHA-256 of each clip's clip.json, which
                   holds those of its pixels: the same for everyone, as no video file's own is
OUT/NAME/...       one clip a folder, see training.clips
"""

import hashlib
import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import cv2

from weld_inspection.training.clip_metadata import METADATA_NAME
from weld_inspection.training.clip_plans import FRAME_RATE, ClipPlan, ClipStore
from weld_inspection.training.clips import Clip, ClipError

DATASET_NAME = "dataset.json"
DATASET_FORMAT_VERSION = 2


def build_dataset(
    out: Path | str,
    plans: list[ClipPlan],
    store: ClipStore,
    *,
    request: dict[str, Any],
    workers: int = 1,
    advance: Callable[[int], None] = lambda frames: None,
) -> dict[str, Any]:
    """Makes all clips of a data set and writes its `dataset.json`.

    Args:
        out: Folder of the data set; must not exist or be empty.
        plans: The clips.
        store: How they are stored.
        request: What was asked for (kind, seed, rig, split, ...), kept as it is.
        workers: Processes that render; the clips do not depend on it.
        advance: Called with the number of frames made since the last call.

    Returns:
        The contents of `dataset.json`.

    Raises:
        ClipError: The folder is not empty or cannot be written, there is nothing to make, or a
            clip cannot be made.
    """
    root = Path(out)
    if not plans:
        raise ClipError("nothing to make: the data set would be empty")
    if workers < 1:
        raise ClipError(f"workers must be 1 or more, not {workers}")
    try:
        root.mkdir(parents=True, exist_ok=True)
        if any(root.iterdir()):
            raise ClipError(f"{root} is not empty: remove it or give another --out")
    except OSError as error:
        raise ClipError(f"{root} cannot be written: {error.strerror}") from error
    if workers == 1 or len(plans) == 1:
        for plan in plans:
            plan.make(root / plan.name, store, lambda: advance(1))
    else:
        _make_in_processes(root, plans, store, workers, advance)
    return _write_summary(root, plans, store, request)


def _make_in_processes(
    root: Path,
    plans: list[ClipPlan],
    store: ClipStore,
    workers: int,
    advance: Callable[[int], None],
) -> None:
    # A forked OpenCV may hang in its threads; a fresh process does not.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        pending = {
            pool.submit(_make, plan, root / plan.name, store): plan.frame_count for plan in plans
        }
        try:
            for future in as_completed(pending):
                future.result()
                advance(pending[future])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one_thread() -> None:
    cv2.setNumThreads(1)


def _make(plan: ClipPlan, folder: Path, store: ClipStore) -> None:
    plan.make(folder, store, lambda: None)


def _write_summary(
    root: Path, plans: list[ClipPlan], store: ClipStore, request: dict[str, Any]
) -> dict[str, Any]:
    clips = [Clip(root / plan.name) for plan in plans]
    frames = sum(clip.metadata.frame_count for clip in clips)
    defects = sum(c.metadata.defect_pixel_ratio * c.metadata.frame_count for c in clips)
    summary = {
        "format_version": DATASET_FORMAT_VERSION,
        **request,
        # A seed gives the same pixels under one version of OpenCV, not across versions.
        "opencv": cv2.__version__,
        "width": store.width,
        "height": store.height,
        "codec": store.codec,
        "frame_rate": FRAME_RATE,
        "clip_count": len(clips),
        "frame_count": frames,
        "defect_pixel_ratio": defects / frames,
        "clips": [
            {
                "name": clip.name,
                "frame_count": clip.metadata.frame_count,
                "defect_pixel_ratio": clip.metadata.defect_pixel_ratio,
                "sha256": hashlib.sha256((clip.folder / METADATA_NAME).read_bytes()).hexdigest(),
            }
            for clip in clips
        ],
    }
    try:
        (root / DATASET_NAME).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ClipError(f"{root} cannot be written: {error.strerror}") from error
    return summary
