"""What a model scores on a set, measured once and kept as a file."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.curves import DECISION_THRESHOLD, Curves
from weld_inspection.evaluation.evaluate import evaluate
from weld_inspection.evaluation.figures import typical_window
from weld_inspection.evaluation.unseen import check_unseen, check_untuned
from weld_inspection.evaluation.variants import Described
from weld_inspection.inspection.engine import InferenceEngine
from weld_inspection.inspection.torch_backend import normalise
from weld_inspection.networks.segmentation_network import SegmentationNetwork
from weld_inspection.networks.weights import Model, load_model
from weld_inspection.provenance import provenance
from weld_inspection.training.clips import Clip
from weld_inspection.training.data_set import clip_digests, set_digest
from weld_inspection.whole_files import write_whole

# One more whenever inspection, or what is measured, makes other scores of the same model and clips.
SCORING = 6
Progress = Callable[[list[Clip]], Iterable[Clip]]


@dataclass(frozen=True, slots=True)
class ReportedSet:
    """A set that scores are reported on.

    Attributes:
        title: For tables.
        clips: Folder of clips.
        held_aside: Folder of clips held aside from training that the threshold is tuned on; None
            for no tuned threshold.
    """

    title: str
    clips: Path
    held_aside: Path | None = None


def score_model(
    described: Described,
    shown: ReportedSet,
    file: Path,
    engine_options: Mapping[str, Any],
    tuned: dict[tuple[str, str], float],
    progress: Progress = iter,
) -> dict:
    """Scores a model on a set.

    Args:
        described: The model file and its row.
        shown: The set.
        file: Where the scores are kept for `kept_scores`; its folder is made if need be.
        engine_options: Device, precision, backend and views, as InferenceEngine's.
        tuned: The thresholds tuned with these options before, by model id and digest of the clips
            held aside; one that is tuned here is added.
        progress: Wraps lists of clips.

    Returns:
        Plain values: `variant`, `network`, `seed`, `set`, `pixel_curve`, `window_curve`,
        `evaluations` (at the paper's threshold, then at the tuned one), `own` (at the threshold
        in the model's file, which the detector takes), `parameters`, `operations` (of a window),
        `engine`, `made_with`, and what the file belongs to.

    Raises:
        InspectionError: The model or the clips cannot be used, it was trained on them, or the
            folder cannot be written.
    """
    variant, seed, path = described
    model = load_model(path)
    belongs_to = _belonging(model, shown, engine_options)
    engine = InferenceEngine(path, **engine_options)
    reported = [DECISION_THRESHOLD]
    if shown.held_aside is not None:
        known = (model.model_id, belongs_to["held_aside"])
        if known not in tuned:
            tuned[known] = _tune(engine, shown.held_aside, progress)
        reported.append(tuned[known])
    curves = Curves()
    thresholds = list(dict.fromkeys((*reported, model.threshold)))  # each once
    scored = evaluate(engine, [shown.clips], thresholds, curves=curves, progress=progress)
    by_threshold = dict(zip(thresholds, scored, strict=True))
    frames, _ = typical_window(shown.clips, engine.info)
    scores = {
        "belongs_to": belongs_to,
        "variant": variant.name,
        "title": variant.title,
        "network": variant.network,
        "options": variant.options,
        "imbalance": variant.imbalance,
        "seed": seed,
        "set": shown.title,
        "training": model.training,
        "evaluations": [by_threshold[threshold].to_dict() for threshold in reported],
        "own": by_threshold[model.threshold].to_dict(),
        "pixel_curve": curves.pixels().to_dict(),
        "window_curve": curves.windows().to_dict(),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "operations": count_operations(model.network, frames),
        "engine": engine.info.how(),
        "made_with": provenance(),
    }
    _write(file, scores)
    return scores


def _tune(engine: InferenceEngine, held_aside: Path, progress: Progress) -> float:
    """Finds the threshold with the best F1 over the pixels of clips held aside."""
    curves = Curves()
    evaluate(engine, [held_aside], [DECISION_THRESHOLD], curves=curves, progress=progress)
    threshold, f1 = curves.pixels().best_f1()
    if not f1:
        raise InspectionError(
            f"no threshold finds a defect pixel of {held_aside}: give clips with defects"
        )
    return threshold


def kept_scores(
    described: Described, shown: ReportedSet, file: Path, engine_options: Mapping[str, Any]
) -> dict | None:
    """Reads what an earlier `score_model` left; None where there is nothing, or of others.

    Raises:
        InspectionError: The model, the clips or the file cannot be used.
    """
    belongs_to = _belonging(load_model(described[-1]), shown, engine_options)
    known = _read(file)
    return known if known is not None and known["belongs_to"] == belongs_to else None


def count_operations(network: SegmentationNetwork, frames: np.ndarray) -> int:
    """Counts a window's floating point operations in convolutions and matrix products.

    A multiplication and an addition are two.

    Args:
        network: The network.
        frames: (T, H, W, 3) uint8 RGB; how much Mask R-CNN does depends on what they show.
    """
    window = normalise(torch.from_numpy(frames)).permute(0, 3, 1, 2).unsqueeze(0)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.eval()(window)
    return counter.get_total_flops()


def _belonging(model: Model, shown: ReportedSet, engine_options: Mapping[str, Any]) -> dict:
    """What scores are of, for their file; raises where they would tell nothing."""
    for folder in filter(None, (shown.clips, shown.held_aside)):
        check_unseen(model, folder)
    check_untuned(model, shown.clips)
    belongs_to = {
        "model_id": model.model_id,
        "clips": set_digest(shown.clips),
        "engine": dict(engine_options),
        "scoring": SCORING,
    }
    if shown.held_aside is not None:
        belongs_to["held_aside"] = set_digest(shown.held_aside)
        if clip_digests(shown.held_aside) & clip_digests(shown.clips):
            raise InspectionError(
                f"{shown.held_aside} holds clips of {shown.clips}: no threshold is tuned on what "
                "is reported"
            )
    return belongs_to


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InspectionError(f"{file} cannot be read: remove it to measure again") from error


def _write(file: Path, values: dict[str, Any]) -> None:
    """Writes a file, all of it or nothing."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(values, indent=1) + "\n")
    except OSError as error:
        raise InspectionError(f"cannot write {file}: {error.strerror}") from error
