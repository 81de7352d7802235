"""`ros2 run weld_inspection average`: the mean of trainings that began at the same model."""

import argparse
from pathlib import Path

from weld_inspection.commands import run_command

EXAMPLES = """examples:
  train --config a.yaml --start-from first.safetensors --seed 1 --out runs/a
  train --config a.yaml --start-from first.safetensors --seed 2 --out runs/b
  average --model runs/a/model.safetensors runs/b/model.safetensors --out mean.safetensors
  # the weights of one in bf16
  average --model runs/a/model.safetensors --bf16 --out a.safetensors
"""


def command(arguments: list[str]) -> int:
    """Averages as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="average",
        description="Write the mean of the weights of trainings that began at the same model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, nargs="+", required=True, help=".safetensors files")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="store weights in bf16: what fp32 and bf16 find differs less, in half the file",
    )
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        parser.error(f"--out {options.out} must end in .safetensors")
    if options.out.resolve() in (model.resolve() for model in options.model):
        parser.error(f"--out {options.out} is one of the models: give another name")
    # Imported here: --help and wrong options answer without loading torch.
    from weld_inspection.networks.averaging import average_models

    average_models(options.model, options.out, bf16=options.bf16)
    print(f"model: {options.out}")
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
