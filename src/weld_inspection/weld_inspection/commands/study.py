"""`ros2 run weld_inspection study`: trains and compares the networks as the paper does."""

import argparse
from functools import partial
from pathlib import Path

from weld_inspection.commands import run_command

EXAMPLES = """examples:
  make_dataset preset small --out clips/small --workers 2
  study --data clips/small --config config/study_small.yaml --out results/small
  # again after an interruption: the same command goes on where it was
  study --data clips/small --out mine --networks unet bi_crrn_e --seeds 3 --parts networks
"""
PARTS = ("networks", "imbalance", "readings")


def command(arguments: list[str]) -> int:
    """Runs the study as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="study",
        description="Train networks alike on a preset's clips; write the paper's tables, figures.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of `make_dataset preset`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("study_runs"),
        help="folder of the trainings, all on the same data (study_runs)",
    )
    parser.add_argument("--config", type=Path, help="YAML file of training options (the paper's)")
    parser.add_argument("--networks", nargs="+", help="names in the registry (the paper's ten)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each network (1)")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=["networks"],
        help="networks: Tables 1, 2, 4; imbalance: Table 3; readings: of the equations (networks)",
    )
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}: give 1 or more")
    # Imported here: --help and wrong options answer without loading torch.
    from tqdm import tqdm

    from weld_inspection.evaluation.study import plan_runs, run_study
    from weld_inspection.evaluation.variants import (
        Variant,
        imbalance_variants,
        paper_variants,
        reading_variants,
    )
    from weld_inspection.training.config import read_training_config

    if options.networks and "networks" not in options.parts:
        parser.error("--networks is of part networks: imbalance and readings have their network")
    variants = []
    if "networks" in options.parts:
        named = options.networks
        variants += [Variant(name) for name in named] if named else paper_variants()
    if "imbalance" in options.parts:
        variants += imbalance_variants()
    if "readings" in options.parts:
        variants += reading_variants()
    numbers = read_training_config(options.config, {"data": str(options.data)})
    runs = plan_runs(options.data, options.runs, variants, options.seeds, numbers)
    readme = run_study(
        runs,
        options.data,
        options.out,
        tell=partial(print, flush=True),
        progress=lambda title: partial(tqdm, desc=title, unit="clip", leave=False, disable=None),
    )
    print(f"report: {readme}")
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
