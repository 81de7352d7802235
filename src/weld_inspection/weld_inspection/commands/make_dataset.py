"""`ros2 run weld_inspection make_dataset`: writes clips with masks to learn from and to run on."""

import argparse
import math
import re
from pathlib import Path
from typing import Any

from weld_inspection.commands import run_command

EXAMPLES = """examples:
  # everything to train and judge a network on two cores: train, tune and validation clips
  make_dataset preset small --out clips/small --photos weld_photos --workers 2
  # 90 clips of simulated welds at the network's size, each from a seed of its own
  make_dataset simulated --out clips/train --clips 90 --seed 1000 --rig manual --workers 2
  # more of what a network misses: undercut and spatter, to train on beside the others
  make_dataset simulated --out clips/missed --clips 60 --seed 4000 --classes 501 602
  # two clips of each photograph that is not held aside, and one of each that is
  make_dataset photos --photos weld_photos --out clips/photos --subset train --clips 2
  make_dataset photos --photos weld_photos --out clips/aside --subset held_aside --rig automatic
  # one minute of camera video over photographs held aside, with its masks
  make_dataset photos --photos weld_photos --out clips/video --subset held_aside \\
      --concatenate --duration 60 --size 1280x720 --codec mp4

The split is by photograph, never by frame, and follows from the file names alone. Some photographs
may show one seam from two angles without a sign of it in their names: those can stand on both
sides.
The same command goes on where it was interrupted.
The format is described in weld_inspection.training.clips.
"""


def command(arguments: list[str]) -> int:
    """Makes the data set that the arguments ask for; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.kind == "photos" and options.duration and not options.concatenate:
        parser.error("--duration is for --concatenate; a clip's length is --frames")
    if options.kind == "photos" and options.clips > 1 and options.concatenate:
        parser.error("--concatenate makes one clip: give its --duration instead of --clips")
    if options.kind == "preset":
        return _make_preset(options)
    # Imported here: --help and wrong options answer without loading OpenCV.
    from tqdm import tqdm

    from weld_inspection.training.clip_plans import ClipStore
    from weld_inspection.training.dataset_builder import build_dataset

    plan = _plan_simulated if options.kind == "simulated" else _plan_photos
    plans, request = plan(options)
    width, height = options.size
    frames = sum(item.frame_count for item in plans)
    # A bar for a person at a terminal, nothing in a log.
    with tqdm(total=frames, unit="frame", disable=None) as bar:
        summary = build_dataset(
            options.out,
            plans,
            ClipStore(width, height, options.codec),
            request=request,
            workers=options.workers,
            advance=bar.update,
        )
    print(
        f"{options.out}: {summary['clip_count']} clips, {summary['frame_count']} frames of "
        f"{width}x{height}, {100 * summary['defect_pixel_ratio']:.2f} % of the pixels are defect, "
        f"{sum(not clip['defect_pixel_ratio'] for clip in summary['clips'])} clips have none"
    )
    return 0


def _make_preset(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from weld_inspection.training.photographs import find_photographs
    from weld_inspection.training.presets import (
        build_preset,
        plan_preset,
        remarks,
        sound_pixels_to_a_defect_one,
    )

    photographs = find_photographs(options.photos) if options.photos else ()
    parts = plan_preset(options.preset, photographs, options.licence)
    frames = sum(item.frame_count for plans in parts.values() for item in plans)
    with tqdm(total=frames, unit="frame", disable=None) as bar:
        summaries = build_preset(
            options.out,
            options.preset,
            photographs=photographs,
            licence=options.licence,
            workers=options.workers,
            advance=bar.update,
        )
    for name, summary in summaries.items():
        ratio = sound_pixels_to_a_defect_one([summary])
        print(
            f"{options.out / name}: {summary['clip_count']} clips, {summary['frame_count']} "
            f"frames, {ratio:.0f} sound pixels to a defect one"
        )
        for line in remarks(options.preset, name, summary):
            print(f"{options.out / name}: {line}")
    return 0


def _plan_simulated(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    from weld_inspection.simulation.defects import check_classes
    from weld_inspection.training.clip_plans import SimulatedPlan, draw_speed

    check_classes(options.classes)
    classes = tuple(options.classes)
    seeds = range(options.seed, options.seed + options.clips)
    density = options.defects_per_metre
    plans = [
        SimulatedPlan(
            f"{options.rig}_{seed:06d}",
            seed,
            options.rig,
            options.frames,
            density,
            classes,
            None if options.speed is None else draw_speed(seed, *options.speed),
        )
        for seed in seeds
    ]
    request = {"kind": "simulated", "rig": options.rig, "seeds": list(seeds)}
    if density is not None:
        request["defects_per_metre"] = density
    if classes:
        request["classes"] = list(classes)
    if options.speed is not None:
        request["speed"] = options.speed
    return plans, request


def _plan_photos(options: argparse.Namespace) -> tuple[list[Any], dict[str, Any]]:
    from weld_inspection.training.clip_metadata import ClipError
    from weld_inspection.training.photo_plans import choose_subset, plan_clips, plan_video
    from weld_inspection.training.photo_split import split_names
    from weld_inspection.training.photographs import find_photographs

    found = find_photographs(options.photos)
    chosen = choose_subset(found, options.split, options.subset)
    common = {
        "frame_count": options.frames,
        "seed": options.seed,
        "rig": options.rig,
        "licence": options.licence,
    }
    if options.concatenate:
        plans = [plan_video(chosen, duration=options.duration, **common)]
    else:
        plans = plan_clips(chosen, passages=options.clips, **common)
    try:
        held_aside = split_names([item.name for item in found], options.split)[1]
    except ClipError:
        if not 0 <= options.split < 1:
            raise
        held_aside = []  # too few to be divided, which `--subset all` need not be
    return plans, {
        "kind": "photo",
        "rig": options.rig,
        "seed": options.seed,
        "licence": options.licence,
        "split": options.split,
        "subset": options.subset,
        "photographs": [item.name for item in chosen],
        "held_aside": held_aside,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make_dataset",
        description="Write clips (frames with a defect mask each) and a dataset.json.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="simulated|photos|preset")
    preset = kinds.add_parser("preset", help="data sets of fixed size and seeds, 160x90, lossless")
    preset.add_argument("preset", choices=("tiny", "small", "paper"))
    preset.add_argument("--out", type=Path, required=True, help="folder; clips there are kept")
    preset.add_argument(
        "--photos", type=Path, help="folder of photographs with masks, for clips of them as well"
    )
    preset.add_argument("--licence", default="not stated", help="of the photographs")
    preset.add_argument("--workers", type=_count, default=1, help="processes (%(default)s)")
    simulated = kinds.add_parser("simulated", help="clips of the simulated weld")
    simulated.add_argument("--clips", type=_count, default=20, help="number of clips (%(default)s)")
    simulated.add_argument("--frames", type=_count, default=100, help="of a clip (%(default)s)")
    simulated.add_argument(
        "--seed", type=_seed, default=0, help="of the first clip; the next one more (%(default)s)"
    )
    simulated.add_argument(
        "--defects-per-metre", type=_density, help="planted defects, 0 to 100 (the rig's)"
    )
    simulated.add_argument(
        "--classes", nargs="+", default=[], metavar="CODE",
        help="the only classes of defect to plant, by their codes in ISO 6520-1 (all)",
    )  # fmt: skip
    simulated.add_argument(
        "--speed", nargs=2, type=float, metavar=("LEAST", "MOST"),
        help="m/s along the seam; each clip has its own in between (the rig's)",
    )  # fmt: skip
    photos = kinds.add_parser("photos", help="clips of a camera that travels over photographs")
    photos.add_argument(
        "--photos", type=Path, required=True, help="folder with images/NAME.jpg, masks/NAME.png"
    )
    photos.add_argument("--clips", type=_count, default=1, help="of a photograph (%(default)s)")
    photos.add_argument(
        "--frames", type=_count, default=60, help="of one passage over a photograph (%(default)s)"
    )
    photos.add_argument("--seed", type=_seed, default=0, help="of paths and effects (%(default)s)")
    photos.add_argument(
        "--split", type=_fraction, default=0.2, help="share to hold aside (%(default)s)"
    )
    photos.add_argument(
        "--subset", choices=("train", "held_aside", "all"), default="train", help="(%(default)s)"
    )
    photos.add_argument("--licence", default="not stated", help="of the photographs")
    photos.add_argument(
        "--concatenate", action="store_true", help="one long clip over all photographs"
    )
    photos.add_argument(
        "--duration",
        type=_duration,
        default=0.0,
        help="with --concatenate: least length in s; 0 for each photograph once (%(default)s)",
    )
    for kind in (simulated, photos):
        kind.add_argument(
            "--out", type=Path, required=True, help="folder to write; new, empty or interrupted"
        )
        kind.add_argument("--rig", choices=("manual", "automatic"), default="manual")
        kind.add_argument(
            "--size", type=_size, default=(160, 90), help="WIDTHxHEIGHT, px (160x90, the network's)"
        )
        kind.add_argument(
            "--codec", choices=("ffv1", "mp4"), default="ffv1", help="lossless, or lossy video"
        )
        kind.add_argument("--workers", type=_count, default=1, help="processes (%(default)s)")
    return parser


def _count(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number above 0")


def _seed(text: str) -> int:
    return _number(text, int, lambda value: value >= 0, "a whole number of 0 or more")


def _fraction(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < 1, "a number of 0 or more and below 1")


def _density(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value <= 100, "a number from 0 to 100")


def _duration(text: str) -> float:
    return _number(
        text, float, lambda value: 0 <= value < math.inf, "a number of seconds of 0 or more"
    )


def _number(text: str, kind: Any, allowed: Any, wanted: str) -> Any:
    try:
        value = kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from error
    if not allowed(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    if not match or int(match[1]) % 2 or int(match[2]) % 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT with two even numbers")
    return int(match[1]), int(match[2])


def main() -> None:
    """Entry point."""
    run_command(command)


if __name__ == "__main__":
    main()
