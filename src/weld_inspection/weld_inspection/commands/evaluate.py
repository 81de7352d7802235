"""`ros2 run weld_inspection evaluate`: scores a model on clips."""

import argparse
import json
from functools import partial
from pathlib import Path

from weld_inspection.commands import run_command

EXAMPLES = """example:
  evaluate --model models/bi_crrn_e.safetensors --data clips/automatic clips/held_aside
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
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="probability above which a pixel is defect"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (auto)")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    options = parser.parse_args(arguments)
    # Imported here: --help and wrong options answer without loading torch.
    from tqdm import tqdm

    from weld_inspection.evaluation.evaluate import evaluate
    from weld_inspection.inspection.decision import DecisionSettings

    scores = {}
    for folder in options.data:
        result = evaluate(
            options.model,
            folder,
            DecisionSettings(threshold=options.threshold),
            device=options.device,
            precision=options.precision,
            progress=partial(tqdm, desc=str(folder), unit="clip", leave=False, disable=None),
        )
        scores[str(folder)] = result.to_dict()
        print(f"{folder}: {result.windows} windows, {result.minutes:.1f} min")
        for name, values in (("pixels", result.pixel), ("windows", result.window)):
            print(f"  {name:8s}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
        if result.planted:
            print(
                f"  defects  {result.found} of {result.planted} found, "
                f"{result.false_events} false events "
                f"({result.false_events / result.minutes:.2f} a minute)"
            )
    if options.json:
        options.json.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
