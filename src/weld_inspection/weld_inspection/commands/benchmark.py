"""`ros2 run weld_inspection benchmark`: measures speed on this machine, as ratios in one run."""

import argparse
import json
from pathlib import Path

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

EXAMPLES = """examples:
  benchmark train
  benchmark train --network bi_crrn_e --batch-size 8 --data clips/small/train
"""


def command(arguments: list[str]) -> int:
    """Measures what the arguments say; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="benchmark",
        description="Measure speed on this machine against the paper's equations written out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    train = kinds.add_parser("train", help="training steps: windows a second")
    train.add_argument("--network", default="bi_crrn_ed_attn", help="(bi_crrn_ed_attn)")
    train.add_argument("--batch-size", type=int, default=4, help="windows in a step (4)")
    train.add_argument("--rounds", type=int, default=5, help="steps of each form (5)")
    train.add_argument("--channels", type=int, default=64, help="of the network (64)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    train.add_argument("--precision", default="auto", help="auto, fp32 or bf16 (auto)")
    train.add_argument("--data", type=Path, help="clips: time the loader on them, too")
    train.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    for name in ("batch_size", "rounds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    return _train(options)


def _train(options: argparse.Namespace) -> int:
    # Imported here: --help and wrong options answer without loading torch.
    from weld_inspection.benchmarks.training_speed import measure_training

    result = measure_training(
        options.network,
        batch_size=options.batch_size,
        rounds=options.rounds,
        channels=options.channels,
        device=options.device,
        precision=options.precision,
        data=options.data,
    )
    print(
        f"{result['network']}, {result['channels']} channels, batch {result['batch_size']}, "
        f"{result['device']}, {result['threads']} threads"
    )
    names = {
        "as printed": "eq. (1) gate by gate, eager fp32",
        "as trained": f"as trained, {result['precision']}",
    }
    for key, name in names.items():
        print(f"  {name:34s} {result['windows_a_second'][key]:8.2f} windows a second")
    print(f"  {'ratio':34s} {result['ratio']:8.2f}")
    if "loader_windows_a_second" in result:
        rate = result["loader_windows_a_second"]
        print(f"  {'loader alone':34s} {rate:8.2f} windows a second")
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InspectionError(f"cannot write {options.json}: {error.strerror}") from error
    return 0


def main() -> None:
    """Entry point."""
    run_command(command)
