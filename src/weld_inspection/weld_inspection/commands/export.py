"""`ros2 run weld_inspection export`: makes the inference library's files of a model ahead."""

import argparse
from pathlib import Path

from weld_inspection.commands import run_command

EXAMPLES = """examples:
  export --model runs/first/model.safetensors
  export --model models/bi_crrn_e.safetensors --precision int8
"""


def command(arguments: list[str]) -> int:
    """Exports as the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="export",
        description="Make OpenVINO's files of a model, which the detector else makes at its start.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, nargs="+", required=True, help="a .safetensors file")
    parser.add_argument(
        "--precision",
        choices=("float", "int8"),
        nargs="+",
        default=["float"],
        help="float serves fp32 and bf16 (float)",
    )
    options = parser.parse_args(arguments)
    # Imported here: --help and wrong options answer without loading torch.
    from weld_inspection.inspection.openvino_export import agreement, exported

    for model in options.model:
        for kind in options.precision:
            print(f"{model}: {exported(model, kind)}")
            if kind == "int8":
                print(f"  {100 * agreement(model):.1f} % of defect pixels as in fp32")
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
