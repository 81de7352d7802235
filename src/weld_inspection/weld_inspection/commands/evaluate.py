"""`ros2 run weld_inspection evaluate`: scores a model on clips."""

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

EXAMPLES = """examples:
  evaluate --model models/bi_crrn_e.safetensors --data clips/automatic clips/held_aside
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
    parser.add_argument("--model", type=Path, required=True, help="a .safetensors file")
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
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (auto)")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    options = parser.parse_args(arguments)
    if options.json and not options.json.parent.is_dir():
        parser.error(f"no folder {options.json.parent} to write the scores to")
    if options.tune and not os.access(options.model.parent, os.W_OK):
        parser.error(f"cannot write to {options.model.parent}: copy the model elsewhere first")
    (_tune if options.tune else _score)(options)
    return 0


def _score(options: argparse.Namespace) -> None:
    """Scores the model on each folder with one threshold."""
    # Imported here: --help and wrong options answer without loading torch.
    from tqdm import tqdm

    from weld_inspection.evaluation.evaluate import evaluate

    scores = {}
    for folder in options.data:
        result = evaluate(
            options.model,
            folder,
            options.threshold,
            device=options.device,
            precision=options.precision,
            progress=partial(tqdm, desc=str(folder), unit="clip", leave=False, disable=None),
        )
        scores[str(folder)] = result.to_dict()
        print(
            f"{folder}: {result.windows} windows, {result.minutes:.1f} min, "
            f"threshold {result.threshold:g}"
        )
        for name, values in (("pixels", result.pixel), ("windows", result.window)):
            print(f"  {name:8s}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
        if result.planted:
            print(
                f"  defects  {result.found} of {result.planted} found, "
                f"{result.false_events} false events "
                f"({result.false_events / result.minutes:.2f} a minute)"
            )
    _write_json(options.json, scores)


def _tune(options: argparse.Namespace) -> None:
    """Finds the model's threshold on all folders together, and writes it into the model."""
    from tqdm import tqdm

    from weld_inspection.evaluation.threshold import (
        best_threshold,
        score_thresholds,
        store_threshold,
    )

    scores = score_thresholds(
        options.model,
        options.data,
        device=options.device,
        precision=options.precision,
        progress=partial(tqdm, unit="clip", leave=False, disable=None),
    )
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
    model_id = store_threshold(options.model, best.threshold)
    print(f"threshold {best.threshold:g} written to {options.model}, now {model_id}")
    _write_json(options.json, [score.to_dict() for score in scores])


def _write_json(path: Path | None, scores: Any) -> None:
    if path is None:
        return
    try:
        path.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InspectionError(f"cannot write {path}: {error.strerror}") from error


def main() -> None:
    """Entry point."""
    run_command(command)
