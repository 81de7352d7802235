#!/usr/bin/env python3
"""Runs the launched system on a video at the camera's rate, with a speaker that is listened to.

    python tools/measure_live.py --seconds 600 --model bi_crrn_ed_attn --json live.json

Tells, and writes as JSON: frames and windows lost, latency from a window's last frame to its
report and from a report to the first sample of the tone, and processor and memory of each node. The
video is a simulated weld of a minute, played again and again. Needs PulseAudio's programs.

Overload: `--stride 1`, or `--image-size 280 158`, which makes the engine about five times as slow:
three times the pixels, and without int8, which the model of that size is not exported in.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from live_system import (
    NODES,
    LaunchedSystem,
    Use,
    Watcher,
    finished_bags,
    seconds,
    used_by_nodes,
)
from rclpy.signals import SignalHandlerOptions

from weld_inspection.benchmarks.weld_video import render_video
from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError
from weld_inspection.inspection.model_choice import PREFERRED, find_model
from weld_inspection.networks.registry import build_network
from weld_inspection.networks.weights import load_model, save_model
from weld_inspection.nodes.shipped_models import shipped_models
from weld_inspection.provenance import provenance
from weld_inspection.testing.sound_server import CHUNK, QUIET, RATE, Ear, SoundServer

SEED = 910_100  # of a weld that nothing is trained on, calibrated by or judged by
VIDEO_FRAMES = 1200  # a minute
SILENCE = 0.05  # s before a report in which no tone may sound for the next one's begin to be told
MOST_PIXELS = 1_000_000  # more than a window has
CLOSING = 8.0  # s for the last window and the counters after the last frame


def command(arguments: list[str]) -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="measure_live",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="of frames (600)")
    parser.add_argument("--model", default="", help="launch argument model")
    parser.add_argument(
        "--stride", type=int, default=0, help="frames from window to window; 1 is an overload (T)"
    )
    parser.add_argument("--views", type=int, default=1, help="mirrored views of a window (1)")
    parser.add_argument(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("WIDTH", "HEIGHT"),
        help="let the model's weights work on images of so many pixels: a slower engine",
    )
    parser.add_argument(
        "--sound",
        action="store_true",
        help="a weld without a defect, and no window called so: the recorder only waits",
    )
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="measure_live_") as folder:
        result = measure(options, Path(folder))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    tell(result)
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict:
    """Runs the system for so many seconds of frames; returns plain values."""
    if missing := [name for name in ("pulseaudio", "pactl", "parec") if not shutil.which(name)]:
        raise InspectionError(
            f"no {', '.join(missing)} here: sudo apt-get install pulseaudio pulseaudio-utils"
        )
    sound = SoundServer()
    sound.start()
    try:
        ear = sound.listen()
        os.environ.update(sound.environment)  # the launched nodes' too
        if options.image_size is not None:
            options.model = str(resized(options.model, options.image_size, folder))
        return _measure(options.seconds, launch_arguments(options, folder), folder, ear)
    finally:
        sound.close()


def resized(model: str, size: list[int], folder: Path) -> Path:
    """Writes a model's weights as a network for images of another size; returns the new file."""
    original = load_model(find_model(model or PREFERRED[0], shipped_models()))
    width, height = size
    network = build_network(replace(original.config, width=width, height=height))
    network.load_state_dict(original.network.state_dict())
    path = folder / f"{original.config.architecture}_{width}x{height}.safetensors"
    save_model(path, network, original.training, original.threshold)
    return path


def launch_arguments(options: argparse.Namespace, folder: Path) -> list[str]:
    """Renders the video and writes the parameters; returns what to launch with."""
    video = render_video(folder / "clips", SEED, VIDEO_FRAMES, 0.0 if options.sound else None)
    config = Path(get_package_share_directory("weld_inspection")) / "config"
    parameters = yaml.safe_load((config / "weld_inspection.yaml").read_text())
    parameters["/**/camera_driver"]["ros__parameters"]["loop"] = True
    parameters["/**/defect_detector"]["ros__parameters"]["stride"] = options.stride
    parameters["/**/defect_detector"]["ros__parameters"]["views"] = options.views
    if options.sound:  # a false alarm would be recorded
        parameters["/**/defect_detector"]["ros__parameters"]["pixel_threshold"] = MOST_PIXELS
    (folder / "parameters.yaml").write_text(yaml.safe_dump(parameters))
    arguments = [
        "source:=video",
        f"path:={video}",
        f"params_file:={folder / 'parameters.yaml'}",
        f"output_dir:={folder / 'bags'}",
    ]
    return arguments + ([f"model:={options.model}"] if options.model else [])


def _measure(duration: float, arguments: list[str], folder: Path, ear: Ear) -> dict:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is ours to handle
    watcher = Watcher()
    stop_camera = watcher.create_client(ChangeState, "camera_driver/change_state")
    samples: list[dict[str, Use]] = []  # each second
    times: list[float] = []
    writing: list[bool] = []  # whether a bag was being written at that moment
    with LaunchedSystem(arguments, folder / "launch.log") as system:
        for _ in watcher.follow(system, duration):
            now = time.monotonic()
            if watcher.stamps and (not times or now - times[-1] >= 1.0):
                times.append(now)
                samples.append(used_by_nodes(system.process.pid))
                if missing := [name for name in NODES if name not in samples[-1]]:
                    raise InspectionError(
                        f"{', '.join(missing)} ended: {system.log.read_text()[-2000:]}"
                    )
                writing.append(watcher.recording is not None and watcher.recording.recording)
            for _ in watcher.newly_finished():
                watcher.acknowledge_alarm()
        # Without frames the counters settle.
        request = ChangeState.Request()
        request.transition.id = Transition.TRANSITION_DEACTIVATE
        stop_camera.call_async(request)
        end = time.monotonic() + CLOSING
        while time.monotonic() < end:
            rclpy.spin_once(watcher, timeout_sec=0.1)
        if not watcher.reports or watcher.info is None:
            raise InspectionError(f"no report came: {system.log.read_text()[-2000:]}")
        counts = {
            "published": watcher.counted("camera_driver", "frames published"),
            "received": watcher.counted("defect_detector", "frames received"),
            "inspected": watcher.counted("defect_detector", "frames inspected"),
            "lost": watcher.counted("defect_detector", "frames lost"),
        }
        recorder = {
            key: watcher.counted("recorder", f"frames {key}")
            for key in ("written", "dropped", "lost")
        }
        dropped = watcher.counted("defect_detector", "windows dropped")
        failed = watcher.counted("defect_detector", "windows failed")
        watcher.wait_for_bag()
        bags = len(finished_bags(folder / "bags"))
    tones, masked, silent = tone_delays(watcher, ear)
    processor = {
        name: round(100 * (last.processor - samples[0][name].processor) / (times[-1] - times[0]), 1)
        for name, last in samples[-1].items()
    }
    result = {
        "model": watcher.info.model_id,
        "backend": watcher.info.backend_reason,
        "seconds": round(times[-1] - times[0]),
        "frames": counts,
        "recorder_frames": recorder,
        "windows": {
            "stride": watcher.info.stride,
            "reported": len(watcher.reports),
            "defective": sum(report.defective for report in watcher.reports),
            "dropped": dropped,
            "failed": failed,
        },
        "inference_ms": {
            name: round(1e3 * float(watcher.told("defect_detector", f"inference time {name} (s)")))
            for name in ("p50", "p99")  # of the last 200 windows
        },
        "report_latency_ms": percentiles([seconds(r.latency) for r in watcher.reports]),
        "report_to_alarm_ms": percentiles(list(watcher.alarm_delays.values())),
        "report_to_tone_ms": percentiles(tones)
        | {"tones": len(tones), "masked": masked, "unheard": silent},
        "processor_percent_of_a_core": processor,
        "recorder_percent_while_writing": recorder_while_writing(samples, times, writing),
        "memory_mb_each_minute": {
            name: memory_each_minute(samples, name, np.median) for name in NODES
        },
        # Apart from what a node holds for a while, as the recorder the images before an event.
        "lowest_memory_mb_each_minute": {
            name: memory_each_minute(samples, name, min) for name in NODES
        },
        "bags": bags,
        "made_with": provenance(),
    }
    watcher.destroy_node()
    rclpy.shutdown()
    return result


def recorder_while_writing(
    samples: list[dict[str, Use]], times: list[float], writing: list[bool]
) -> float | None:
    """Percent of a core, over the seconds at whose begin and end a bag was being written."""
    spent = lasted = 0.0
    for number in range(1, len(samples)):
        if writing[number - 1] and writing[number]:
            before, after = (sample["recorder"] for sample in samples[number - 1 : number + 1])
            spent += after.processor - before.processor
            lasted += times[number] - times[number - 1]
    return round(100 * spent / lasted, 1) if lasted else None


def memory_each_minute(
    samples: list[dict[str, Use]], name: str, take: Callable[[list[float]], float]
) -> list[float]:
    """A node's memory in MB: what `take` makes of each minute's samples, one a second."""
    held = [sample[name].memory for sample in samples]
    return [round(float(take(held[first : first + 60])), 1) for first in range(0, len(held), 60)]


def tone_delays(watcher: Watcher, ear: Ear) -> tuple[list[float], int, int]:
    """Seconds from the reports that raised the alarm to the first sample heard of its tone.

    Returns:
        The delays, how many tones cannot be told from another that was sounding when the report
        came, and how many were not heard within a second.
    """
    clock = time.time() - time.monotonic()
    loud = [t + clock for t, chunk in ear.chunks() if np.abs(chunk).max() > QUIET]
    delays, masked, unheard = [], 0, 0
    for report in watcher.reports:
        if report.sequence not in watcher.alarm_delays:
            continue
        published = seconds(report.header.stamp) + seconds(report.latency)
        heard = [t - published for t in loud if 0.0 <= t - published < 1.0]
        # A chunk is stamped when all of it has been heard.
        if any(-SILENCE <= t - published < CHUNK / RATE for t in loud):
            masked += 1
        elif heard:
            delays.append(heard[0])
        else:
            unheard += 1
    return delays, masked, unheard


def tell(result: dict) -> None:
    """Prints what was measured for a person."""
    frames, windows = result["frames"], result["windows"]
    print(f"{result['model']}, {result['backend']}, stride {windows['stride']}")
    print(f"  {result['seconds']} s: {frames['published']} frames published, {frames['lost']} lost")
    recorder = result["recorder_frames"]
    print(
        f"  recorder: {recorder['written']} frames written, {recorder['dropped']} dropped, "
        f"{recorder['lost']} lost on the way to it"
    )
    print(
        f"  {windows['reported']} windows reported, {windows['dropped']} dropped, "
        f"{windows['failed']} failed"
    )
    print(f"  {'ms':36s} {'p50':>8s} {'p99':>8s} {'max':>8s}")
    tones = result["report_to_tone_ms"]["tones"]
    for name, key in (
        ("last frame of a window to its report", "report_latency_ms"),
        (f"report to first sample, of {tones} tones", "report_to_tone_ms"),
    ):
        values = (result[key][level] for level in ("p50", "p99", "max"))
        print(f"  {name:36s} " + " ".join(f"{'-' if v is None else v:>8}" for v in values))
    print(f"  {'':36s} {'% of a core':>12s}   MB, each minute (lowest to median)")
    for name, percent in result["processor_percent_of_a_core"].items():
        lowest, usual = (
            result[key][name] for key in ("lowest_memory_mb_each_minute", "memory_mb_each_minute")
        )
        memory = ", ".join(f"{a:.0f} to {b:.0f}" for a, b in zip(lowest, usual, strict=True))
        print(f"  {name:36s} {percent:12.1f}   {memory}")
    if (percent := result["recorder_percent_while_writing"]) is not None:
        print(f"  {'recorder while writing':36s} {percent:12.1f}")


def percentiles(values: list[float]) -> dict[str, float | None]:
    """p50, p99 and the most of seconds, in milliseconds."""
    if not values:
        return {"p50": None, "p99": None, "max": None}
    p50, p99, most = np.percentile(values, (50, 99, 100))
    return {"p50": round(1e3 * p50, 1), "p99": round(1e3 * p99, 1), "max": round(1e3 * most, 1)}


if __name__ == "__main__":
    run_command(command)
