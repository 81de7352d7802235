"""`ros2 run weld_inspection train`: trains a network on clips."""

import argparse
from pathlib import Path

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

EXAMPLES = """examples:
  train --data clips/train --validation clips/held_aside --out runs/first
  train --config train.yaml --out runs/second --epochs 20
  train --out runs/second --resume
  # bi-CRRN-ED in a fraction of the time, from a bi-CRRN-E that is trained already, with a skip
  # connection as it has: skip.yaml holds `network_options: {skip: true}`
  train --network bi_crrn_ed_attn --config skip.yaml --start-from models/bi_crrn_e.safetensors \\
      --teacher models/bi_crrn_e.safetensors --data clips/train --out runs/third
"""


def command(arguments: list[str]) -> int:
    """Trains as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="train",
        description="Train a network on windows of clips (Algorithm 1 of the paper).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--config", type=Path, help="YAML file with these options by name")
    parser.add_argument("--network", help="name in the registry of networks (bi_crrn_ed_attn)")
    parser.add_argument("--data", nargs="+", metavar="FOLDER", help="clips to train on")
    parser.add_argument("--validation", nargs="+", metavar="FOLDER", help="clips to measure on")
    parser.add_argument("--out", help="folder of the run (training_output)")
    parser.add_argument("--epochs", type=int, help="passes over the data (150)")
    parser.add_argument("--batch-size", type=int, help="windows in a step (20)")
    parser.add_argument("--learning-rate", type=float, help="of Adam (1e-4)")
    parser.add_argument("--schedule", choices=("constant", "one_cycle"), help="(constant)")
    parser.add_argument("--window", type=int, help="frames of a training window (the network's T)")
    parser.add_argument("--stride", type=int, help="frames between windows (no overlap)")
    parser.add_argument(
        "--imbalance", type=float, help="sound pixels to a defect one that the loss counts (all)"
    )
    parser.add_argument("--no-augment", dest="augment", action="store_false", help="data as it is")
    parser.add_argument(
        "--crop",
        type=int,
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        help="part of each window that a step sees, most of them around defects (whole frames)",
    )
    parser.add_argument("--seed", type=int, help="of weights, order and augmentation (0)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="(auto)")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="(auto)")
    parser.add_argument("--workers", type=int, help="processes that read clips (0)")
    parser.add_argument(
        "--start-from",
        nargs="+",
        metavar="MODEL",
        help="take over weights that fit, of each what those before it lack, and keep the "
        "statistics",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        help="parts that learn, the rest stays as --start-from has it: spatial_decoder, say (all)",
    )
    parser.add_argument("--teacher", metavar="MODEL", help="learn its features beside the masks")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    options = vars(parser.parse_args(arguments))
    # Imported here: --help and wrong options answer without loading torch and Lightning.
    from weld_inspection.training.config import DEFAULT_OUT, read_training_config
    from weld_inspection.training.fit import ProcessGroup, fit

    resume = options.pop("resume", False)
    file = options.pop("config", None)
    if resume and file:
        parser.error("--resume goes on with the numbers of the run: leave --config out")
    if resume:
        file = Path(options.get("out", DEFAULT_OUT)) / "training.json"
        if not file.is_file():
            raise InspectionError(f"nothing to resume: there is no {file}")
    model = fit(read_training_config(file, options), resume=resume)
    if ProcessGroup.of_torchrun().rank == 0:
        print(f"model: {model}")
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
