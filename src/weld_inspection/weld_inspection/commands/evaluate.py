"""`ros2 run weld_inspection evaluate`: scores a model on clips."""

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

if TYPE_CHECKING:
    from weld_inspection.evaluation.evaluate import Evaluation
    from weld_inspection.inspection.engine import InferenceEngine
    from weld_inspection.networks.weights import Model

EXAMPLES = """examples:
  evaluate --model models/bi_crrn_e.safetensors --data clips/automatic clips/held_aside
  # tables and figures as in the paper, thresholds tuned on clips held aside from training
  evaluate --model models/*.safetensors --data clips/small/validation \\
      --held-aside clips/small/tune --out mine
  # the decision threshold of a new model, from clips that it neither learned from nor is judged by
  evaluate --model model.safetensors --data clips/tune --tune
"""


def command(arguments: list[str]) -> int:
    """Evaluates as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="evaluate",
        description="Score a model on clips: pixels (eq. 8), windows (eq. 9), planted defects.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", type=Path, nargs="+", required=True, help="a .safetensors file, or several"
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of clips")
    decision = parser.add_mutually_exclusive_group()
    decision.add_argument(
        "--threshold", type=float, help="probability above which a pixel is defect (the model's)"
    )
    decision.add_argument(
        "--tune",
        action="store_true",
        help="score many thresholds and write the best into the model",
    )
    parser.add_argument(
        "--pixel-threshold", type=int, metavar="THETA", help="of eq. (9) (the paper's 1000)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or int8 (auto)")
    parser.add_argument("--backend", default="torch", help="torch, openvino or auto (torch)")
    parser.add_argument(
        "--views", type=int, default=1, help="mirrored views of each window: 1, 2 or 4 (1)"
    )
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    parser.add_argument(
        "--out", type=Path, help="write the paper's tables and figures to this folder instead"
    )
    parser.add_argument(
        "--held-aside",
        type=Path,
        nargs="+",
        help="with --out: for each of --data, clips that the threshold is tuned on",
    )
    options = parser.parse_args(arguments)
    if options.held_aside and (not options.out or len(options.held_aside) != len(options.data)):
        parser.error("--held-aside goes with --out, one folder for each of --data")
    if options.out:
        without = (options.threshold, options.pixel_threshold, options.json)
        if options.tune or any(option is not None for option in without):
            parser.error("--out goes without --tune, --threshold, --pixel-threshold and --json")
        return _report(options)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"no folder {options.json.parent} to write the scores to")
    if options.tune:
        if len(options.model) > 1:
            parser.error("--tune writes into one model: give one")
        if not os.access(options.model[0].parent, os.W_OK):
            parser.error(f"cannot write to {options.model[0].parent}: copy the model elsewhere")
    (_tune if options.tune else _score)(options)
    return 0


def _report(options: argparse.Namespace) -> int:
    """Writes tables and figures of all models on all folders."""
    from tqdm import tqdm

    from weld_inspection.evaluation.report import write_report
    from weld_inspection.evaluation.scores import ReportedSet

    aside = options.held_aside or [None] * len(options.data)
    readme = write_report(
        options.out,
        options.model,
        [
            ReportedSet(folder.resolve().name, folder, held)
            for folder, held in zip(options.data, aside, strict=True)
        ],
        progress=lambda title: partial(tqdm, desc=title, unit="clip", leave=False, disable=None),
        tell=partial(print, flush=True),
        device=options.device,
        precision=options.precision,
        backend=options.backend,
        views=options.views,
    )
    print(f"report: {readme}")
    return 0


def _score(options: argparse.Namespace) -> None:
    """Scores the model on each folder with one threshold."""
    # Imported here: --help and wrong options answer without loading torch.
    from tqdm import tqdm

    from weld_inspection.evaluation.evaluate import evaluate
    from weld_inspection.evaluation.unseen import was_trained_on, was_tuned_on
    from weld_inspection.networks.weights import load_model

    thresholds = [] if options.threshold is None else [options.threshold]
    scores: list[dict] = []
    for model in options.model:
        loaded = load_model(model)
        engine = _engine(model, options)
        for folder in options.data:
            progress = partial(tqdm, desc=str(folder), unit="clip", leave=False, disable=None)
            (result,) = evaluate(engine, [folder], thresholds, **_theta(options), progress=progress)
            trained, tuned = was_trained_on(loaded, folder), was_tuned_on(loaded, folder)
            known = {"trained_on_it": trained, "tuned_on_it": tuned}
            scores.append(_made_of(loaded, engine, [folder]) | known | result.to_dict())
            seen = (
                ", which it was trained on" * trained + ", which its threshold was found on" * tuned
            )
            _print(f"{model} on {folder}{seen}", result)
    _write_json(options.json, scores)


def _made_of(model: "Model", engine: "InferenceEngine", folders: list[Path]) -> dict[str, Any]:
    """What a score is of."""
    from weld_inspection.training.data_set import set_digest

    return {
        "model": model.model_id,
        "training": model.training,
        "clips": {str(folder): set_digest(folder) for folder in folders},
        "engine": engine.info.how(),
    }


def _engine(model: Path, options: argparse.Namespace) -> "InferenceEngine":
    """Loads a model as the options say."""
    from weld_inspection.inspection.engine import InferenceEngine

    return InferenceEngine(model, options.device, options.precision, options.backend, options.views)


def _theta(options: argparse.Namespace) -> dict[str, int]:
    """What the options say of eq. (9)."""
    if options.pixel_threshold is None:
        return {}
    return {"pixel_threshold": options.pixel_threshold}


def _print(title: str, result: "Evaluation") -> None:
    """Prints what a model scores on a folder."""
    print(f"{title}: {result.windows} windows, threshold {result.threshold:g}")
    if result.clips_left_out:
        print(f"  {result.clips_left_out} clips left out, shorter than a window")
    for name, values in (("pixels", result.pixel), ("windows", result.window)):
        print(f"  {name:8s}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
    if result.planted or result.false_events:
        per_minute = result.false_events / result.minutes
        off = f", {result.offset_mm:.1f} mm off" if result.offset_mm is not None else ""
        print(
            f"  defects  {result.found} of {result.planted} found{off}, "
            f"{result.false_events} false events ({per_minute:.2f} a minute)"
        )
    for name, kind in result.kinds.items():
        recall = "-" if kind["recall"] is None else f"{kind['recall']:.3f}"
        print(
            f"  {name:28s} {recall} of its {kind['pixels']} pixels, "
            f"{kind['found']} of {kind['planted']} found"
        )
    for name, frames in result.obstructions.items():
        f1 = "-" if frames["f1"] is None else f"{frames['f1']:.3f}"
        print(f"  {name:28s} F1 {f1} of the pixels of its {frames['frames']} frames")


def _tune(options: argparse.Namespace) -> None:
    """Finds the model's threshold on all folders together, and writes it into the model."""
    from tqdm import tqdm

    from weld_inspection.evaluation.evaluate import evaluate
    from weld_inspection.evaluation.threshold import THRESHOLDS, best_threshold
    from weld_inspection.evaluation.unseen import check_unseen
    from weld_inspection.networks.weights import load_model, store_threshold

    (model,) = options.model
    loaded = load_model(model)
    for folder in options.data:
        check_unseen(loaded, folder)
    engine = _engine(model, options)
    progress = partial(tqdm, unit="clip", leave=False, disable=None)
    scores = evaluate(engine, options.data, THRESHOLDS, **_theta(options), progress=progress)
    print("            pixels                    windows                   defects        false")
    print("threshold   precision recall  F1      precision recall  F1      planted found  events")
    for score in scores:
        columns = [
            f"{values['precision']:.4f}    {values['recall']:.4f}  {values['f1']:.4f}"
            for values in (score.pixel, score.window)
        ]
        print(
            f"{score.threshold:9.2f}   {'  '.join(columns)}  "
            f"{score.planted:7d} {score.found:5d}  {score.false_events:6d}"
        )
    best = best_threshold(scores)
    made_of = _made_of(loaded, engine, options.data)
    model_id = store_threshold(model, best.threshold, list(made_of["clips"].values()))
    print(f"threshold {best.threshold:g} written to {model}, now {model_id}")
    _write_json(options.json, [made_of | score.to_dict() for score in scores])


def _write_json(path: Path | None, scores: list[dict[str, Any]]) -> None:
    if path is None:
        return
    from weld_inspection.provenance import provenance

    values = {"made_with": provenance(), "scores": scores}
    try:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InspectionError(f"cannot write {path}: {error.strerror}") from error


def main() -> None:
    """Entry point."""
    run_command(command)
