"""`ros2 run weld_inspection benchmark`: measures speed on this machine, as ratios in one run."""

import argparse
import json
from pathlib import Path
from typing import Any

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

EXAMPLES = """examples:
  benchmark train
  benchmark train --network bi_crrn_e --batch-size 8 --data clips/small/train
  benchmark engine --model bi_crrn_e --windows 20
  benchmark growth
  benchmark offline --frames 600
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
    engine = kinds.add_parser("engine", help="a window from camera frames to masks, by backend")
    engine.add_argument("--model", nargs="+", default=["bi_crrn_e", "bi_crrn_ed_attn"])
    engine.add_argument("--windows", type=int, default=50, help="of each backend (50)")
    engine.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    growth = kinds.add_parser("growth", help="a window's cost by T, stride, size and detectors")
    growth.add_argument("--network", default="bi_crrn_e", help="(bi_crrn_e)")
    growth.add_argument("--windows", type=int, default=5, help="of each case (5)")
    offline = kinds.add_parser("offline", help="inspect_bag on a video of 1280x720 pixels")
    offline.add_argument("--model", nargs="+", default=["bi_crrn_e", "bi_crrn_ed_attn"])
    offline.add_argument("--frames", type=int, default=600, help="of the video (600)")
    for kind in (train, engine, growth, offline):
        kind.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    for name in ("batch_size", "rounds", "windows", "frames"):
        if getattr(options, name, 1) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    if options.json is not None and not options.json.parent.is_dir():
        raise InspectionError(f"cannot write {options.json}: there is no such folder")
    measure = {"train": _train, "engine": _engine, "growth": _growth, "offline": _offline}
    result = measure[options.kind](options)
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise InspectionError(f"cannot write {options.json}: {error.strerror}") from error
    return 0


def _train(options: argparse.Namespace) -> dict[str, Any]:
    # Imported here, as below: --help and wrong options answer without loading torch.
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
        rate = result["decoded_frames_a_second"]
        print(f"  {'decoding, once before':34s} {rate:8.0f} frames a second")
    return result


def _engine(options: argparse.Namespace) -> list[dict[str, Any]]:
    from weld_inspection.benchmarks.inference_speed import measure_engines

    results = []
    for model in _find_models(options.model):
        result = measure_engines(model, windows=options.windows, device=options.device)
        results.append(result)
        print(
            f"{result['model']}, {result['device']}, {result['threads']} threads, "
            f"{result['windows']} windows, threshold {result['threshold']:g}"
        )
        print(f"  {'':24s} ms a window   at the last frame   ratio   IoU with fp32")
        for backend, row in result["backends"].items():
            print(
                f"  {backend:24s} {row['milliseconds']:11.1f} "
                f"{row['milliseconds_at_the_last_frame']:19.1f} {row['ratio']:7.2f} "
                f"{row['iou']:15.4f}"
            )
        if "at_once" in result:
            row = result["at_once"]
            print(
                f"  {row['windows']} windows at once in bf16: {row['windows_a_second']:.0f} "
                f"windows a second, {row['tera_operations_a_second']:.0f} of the "
                f"{row['matrix_tera_operations_a_second']:.0f} Tflop/s of a matrix product"
            )
        for note in (result.get("at_once", {}).get("not_fused"), result.get("not_at_once")):
            if note:
                print(f"  {note}")
    return results


def _growth(options: argparse.Namespace) -> dict[str, Any]:
    from weld_inspection.benchmarks.inference_speed import measure_growth

    result = measure_growth(options.network, windows=options.windows)
    print(
        f"{result['network']}, {result['backend']} {result['precision']}, {result['threads']} "
        "threads: ms from window to window"
    )
    for name, value in result["milliseconds"].items():
        print(f"  {name:24s} {value:8.1f}")
    for count, value in result["detectors"].items():
        print(
            f"  {f'detectors at once: {count}':24s} {value:8.1f}  ({result['detectors_precision']})"
        )
    return result


def _offline(options: argparse.Namespace) -> dict[str, Any]:
    from weld_inspection.benchmarks.offline_speed import measure_offline

    result = measure_offline(_find_models(options.model), frames=options.frames)
    print(f"{result['frames']} frames of 1280x720 pixels, from mp4 to a bag")
    for model, row in result["models"].items():
        print(f"  {model}: {row['seconds']:.1f} s, {row['times_real_time']:.1f} times real time")
    return result


def _find_models(names: list[str]) -> list[Path]:
    from weld_inspection.inspection.model_choice import find_model
    from weld_inspection.nodes.shipped_models import shipped_models

    return [find_model(name, shipped_models()) for name in names]


def main() -> None:
    """Entry point."""
    run_command(command)
