"""`ros2 run weld_inspection inspect_bag`: inspects a bag or a video as fast as it goes."""

import argparse
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError

EXAMPLES = """examples:
  inspect_bag weld_recordings/20261124_101500_defect --out inspected
  inspect_bag weld.mp4 --out inspected --model bi_crrn_ed_attn --precision int8
  inspect_bag BAG --out inspected --params-file weld_inspection.yaml
"""


def command(arguments: list[str]) -> int:
    """Inspects as the arguments say.

    Returns:
        The exit status: 1 if frames in the middle could not be decoded, a window failed or reading
        broke off, which is told.
    """
    parser = argparse.ArgumentParser(
        prog="inspect_bag",
        description="Inspect a bag, video or folder of images; write masks and reports to a bag.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recording", type=Path, help="a bag, a video or a folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bag")
    parser.add_argument("--params-file", type=Path, help="parameters of the nodes, as for a launch")
    parser.add_argument(
        "--model", help="file or name of a shipped model (a bag's own, or else the best)"
    )
    parser.add_argument("--backend", help="torch, openvino or auto (auto)")
    parser.add_argument("--precision", help="auto, fp32, bf16 or int8 (auto)")
    parser.add_argument("--device", help="auto, cpu or cuda (auto)")
    parser.add_argument("--views", type=int, help="mirrored views of each window: 1, 2 or 4 (1)")
    parser.add_argument("--topic", default="", help="images of a bag (the file's bag_topic)")
    parser.add_argument(
        "--namespace", default="/weld", help="of the nodes and the topics written (/weld)"
    )
    options = parser.parse_args(arguments)
    if not options.namespace.startswith("/"):
        parser.error(f"--namespace is {options.namespace}: give it with its first slash")
    # Imported here: --help and wrong options answer without loading torch and ROS.
    from tqdm import tqdm

    from weld_inspection.camera.recorded_carriage import RecordedCarriage
    from weld_inspection.camera.source import CameraError
    from weld_inspection.camera.sources import open_recording
    from weld_inspection.inspection.engine import InferenceEngine
    from weld_inspection.inspection.model_choice import PREFERRED, find_model
    from weld_inspection.nodes.offline_inspection import (
        OfflineParameters,
        inspect_recording,
        read_parameters,
    )
    from weld_inspection.nodes.recorded_model import find_recorded_model
    from weld_inspection.nodes.shipped_models import shipped_models

    if options.out.exists():
        raise InspectionError(f"{options.out} is there already: give another --out")
    parameters = OfflineParameters()
    if options.params_file is not None:
        parameters = read_parameters(options.params_file, options.namespace)
    names = ("model", "backend", "precision", "device", "views")
    given = {name: getattr(options, name) for name in names}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    parameters = replace(parameters, **given)
    kind = _kind(options.recording)
    topic = options.topic or parameters.bag_topic
    recording = open_recording(kind, str(options.recording), topic=topic)
    carriage, faults = None, []
    if kind == "bag":
        carriage = RecordedCarriage(options.recording, on_damage=faults.append)
    model, doubt = None, ""
    if not parameters.model and kind == "bag":
        try:
            live_id, model = find_recorded_model(
                options.recording, recording.topic, shipped_models()
            )
            if live_id and model is None:
                doubt = (
                    f"the bag was inspected live with {live_id}, which is none of the shipped "
                    "models: give its file as --model for the same masks"
                )
        except CameraError as error:  # the images may be readable all the same
            doubt = f"{error}: give the model that it was inspected with live as --model"
    if doubt:
        print(f"{parser.prog}: warning: {doubt}", file=sys.stderr)
    engine = InferenceEngine(
        model or find_model(parameters.model or PREFERRED[0], shipped_models()),
        parameters.device,
        parameters.precision,
        parameters.backend,
        parameters.views,
    )
    print(f"{engine.info.model_id}, backend {engine.info.reason}")
    began = time.perf_counter()
    with (
        closing(recording),
        tqdm(total=recording.frame_count, unit="frame", disable=None) as bar,
    ):
        summary = inspect_recording(
            recording,
            carriage,
            engine,
            options.out,
            parameters=parameters,
            namespace=options.namespace.rstrip("/"),
            advance=bar.update,
        )
    took = time.perf_counter() - began
    print(
        f"{summary.frames} frames, {summary.windows} windows, {summary.defective} of them "
        f"defective, {summary.failed} failed, {summary.frames - summary.inspected} frames without "
        f"a mask; {took:.1f} s, {summary.seconds / took:.1f} times real time"
    )
    print(f"bag: {summary.bag}")
    if summary.lost or summary.discarded:
        print(
            f"{parser.prog}: warning: by their stamps {summary.lost} frames are missing between "
            f"the others; {summary.discarded} more were not inspected, for their windows were "
            "broken off",
            file=sys.stderr,
        )
    if summary.undecoded:
        faults.append(
            f"{summary.undecoded} of {summary.frames} frames could not be decoded: the recording "
            "is damaged there"
        )
    if summary.failed:
        windows = summary.windows + summary.failed
        faults.append(f"{summary.failed} of {windows} windows failed, the last {summary.failure}")
    if summary.damage:
        faults.append(
            f"reading broke off after {summary.frames} frames ({summary.seconds:.2f} s): "
            f"{summary.damage}; what came before is kept"
        )
    for fault in faults:
        print(f"{parser.prog}: error: {' '.join(fault.split())}", file=sys.stderr)
    return 1 if faults else 0


def _kind(path: Path) -> str:
    """What a path holds: bag, images or video."""
    if path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").is_file():
        return "bag"
    return "images" if path.is_dir() else "video"


def main() -> None:
    """Entry point."""
    run_command(command)
