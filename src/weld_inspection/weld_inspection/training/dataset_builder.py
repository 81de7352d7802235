"""Builds a data set: clips of the simulated weld or of photographs, and their `dataset.json`.

OUT/dataset.json   what was asked for, what came out, the SHA-256 of each clip's clip.json, which
                   holds those of its pixels: the same for everyone, as no video file's own is
OUT/NAME/...       one clip a folder, see training.clips
"""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import cv2

from weld_inspection.training.clip_metadata import METADATA_NAME
from weld_inspection.training.clip_plans import FRAME_RATE, ClipPlan, ClipStore
from weld_inspection.training.clips import CODECS, MASKS_FILE, Clip, ClipError
from weld_inspection.training.data_set import DATASET_NAME, clip_digest
from weld_inspection.training.folder_lock import hold_folder
from weld_inspection.whole_files import part_of, write_whole

# What a clip's folder may hold before its clip.json.
CLIP_PARTS = {MASKS_FILE, part_of(Path(METADATA_NAME)).name, *(file for _, file in CODECS.values())}
DATASET_FORMAT_VERSION = 2


def build_dataset(
    out: Path | str,
    plans: Sequence[ClipPlan],
    store: ClipStore,
    *,
    request: dict[str, Any],
    workers: int = 1,
    advance: Callable[[int], None] = lambda frames: None,
) -> dict[str, Any]:
    """Makes all clips of a data set and writes its `dataset.json`.

    Args:
        out: Folder of the data set; must not exist, be empty, or be what an interrupted call with
            these plans left: its whole clips are kept.
        plans: The clips.
        store: How they are stored.
        request: What was asked for (kind, seed, rig, split, ...), kept as it is.
        workers: Processes that render; the clips do not depend on it.
        advance: Called with the number of frames made, or found made, since the last call.

    Returns:
        The contents of `dataset.json`.

    Raises:
        ClipError: The folder holds something else, is being written or cannot be, there is nothing
            to make, or a clip cannot be made.
    """
    root = Path(out)
    if not plans:
        raise ClipError("nothing to make: the data set would be empty")
    if workers < 1:
        raise ClipError(f"workers must be 1 or more, not {workers}")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(f"{root} cannot be written: {error.strerror}") from error
    # Another one would take a clip at work for a broken-off one.
    busy = ClipError(f"another make_dataset is at work in {root}: wait for it")
    with hold_folder(root, busy):
        missing = _take_over(root, plans, store)
        advance(sum(plan.frame_count for plan in plans if plan not in missing))
        if workers == 1 or len(missing) < 2:
            for plan in missing:
                plan.make(root / plan.name, store, lambda: advance(1))
        else:
            _make_in_processes(root, missing, store, workers, advance)
        return _write_summary(root, plans, store, request)


def is_made(folder: Path, plan: ClipPlan, store: ClipStore) -> bool:
    """Whether a folder holds, whole, the clip of a plan."""
    try:
        made = Clip(folder).metadata
    except ClipError:
        return False
    return (
        made.source == plan.source
        and made.frame_count == plan.frame_count
        and made.frame_rate == FRAME_RATE
        and (made.width, made.height) == (store.width, store.height)
        and made.frames_file == CODECS[store.codec][1]
        and all((folder / name).is_file() for name in (made.frames_file, made.masks_file))
    )


def _take_over(root: Path, plans: Sequence[ClipPlan], store: ClipStore) -> list[ClipPlan]:
    """Empties the unfinished clips that an interrupted call left; returns the plans to be made.

    Raises:
        ClipError: The folder holds a finished set or anything else, and is left as it is.
    """
    by_name = {plan.name: plan for plan in plans}
    whole, parts = set(), []
    if (root / DATASET_NAME).exists():
        raise ClipError(f"{root} holds a finished set: remove it or give another --out")
    try:
        for item in root.iterdir():
            files = list(item.iterdir()) if item.name in by_name and item.is_dir() else None
            if files is not None and is_made(item, by_name[item.name], store):
                whole.add(item.name)
            elif files is not None and {file.name for file in files} <= CLIP_PARTS:
                parts += files
            elif item != part_of(root / DATASET_NAME):
                raise ClipError(
                    f"{root} is not empty: remove it or give another --out ({item.name} is no clip "
                    "of this set as this version makes it)"
                )
        for file in parts:
            file.unlink()
    except OSError as error:
        raise ClipError(f"{root} cannot be written: {error.strerror}") from error
    return [plan for plan in plans if plan.name not in whole]


def _make_in_processes(
    root: Path,
    plans: Sequence[ClipPlan],
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
    root: Path, plans: Sequence[ClipPlan], store: ClipStore, request: dict[str, Any]
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
                "sha256": clip_digest(clip.folder),
            }
            for clip in clips
        ],
    }
    try:
        write_whole(root / DATASET_NAME, json.dumps(summary, indent=1) + "\n")
    except OSError as error:
        raise ClipError(f"{root} cannot be written: {error.strerror}") from error
    return summary
