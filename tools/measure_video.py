#!/usr/bin/env python3
"""Runs the whole system on a clip's video as the camera would, and scores it against the masks.

    make_dataset photos --photos PHOTOS --out clips --subset held_aside --concatenate \
        --duration 60 --size 1280x720 --codec mp4
    python tools/measure_video.py clips/CLIP --output measured

Prints, and writes to OUTPUT/measured.json: frames, windows, pixel and frame-level scores, alarm
onsets, bags, latency, and the processor time of each process.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import rclpy
import torch
from live_system import LaunchedSystem, Use, Watcher, finished_bags, seconds, used_by_nodes
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from weld_inspection.commands import run_command
from weld_inspection.inspection.preprocessing import resize_mask
from weld_inspection.nodes import qos
from weld_inspection.stamps import NANOSECONDS, to_nanoseconds
from weld_inspection.training.clips import Clip
from weld_inspection.training.metrics import binary_metrics


class MaskWatcher(Watcher):
    """Keeps the masks as well."""

    def __init__(self) -> None:
        """Subscribes."""
        super().__init__()
        # Read after the run, so that the run is not slowed.
        self.serialized_masks: list[bytes] = []
        self.create_subscription(
            Image, "defect_mask", self.serialized_masks.append, qos.MASK, raw=True
        )

    def masks(self) -> dict[int, np.ndarray]:
        """Masks (h, w) bool by stamp in nanoseconds."""
        masks = {}
        for serialized in self.serialized_masks:
            message = deserialize_message(serialized, Image)
            pixels = np.asarray(message.data, np.uint8).reshape(message.height, message.width)
            masks[to_nanoseconds(message.header.stamp)] = pixels > 0
        return masks


def command(arguments: list[str]) -> int:
    """Measures; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="measure_video",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("clip", type=Path, help="folder of a clip with an mp4 video")
    parser.add_argument("--output", type=Path, default=Path("measured"), help="(measured)")
    parser.add_argument("--model", default="", help="launch argument model")
    options = parser.parse_args(arguments)
    clip = Clip(options.clip)
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    launch_arguments = [
        "source:=video",
        f"path:={(clip.folder / clip.metadata.frames_file).resolve()}",
        f"output_dir:={output / 'bags'}",
    ]
    if options.model:
        launch_arguments.append(f"model:={options.model}")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is ours to handle
    watcher = MaskWatcher()
    processor: dict[str, Use] = {}
    stamps: list[float] = []
    looked = 0.0
    with LaunchedSystem(launch_arguments, output / "launch.log") as system:
        for _ in watcher.follow(system):
            if not stamps and watcher.stamps:
                stamps.append(watcher.last_frame)
                start = used_by_nodes(system.process.pid)
            # Not more often: looking through all processes costs processor time itself.
            if stamps and time.monotonic() - looked > 1.0:
                processor = used_by_nodes(system.process.pid)
                looked = time.monotonic()
            for _ in watcher.newly_finished():
                watcher.acknowledge_alarm()
        watcher.wait_for_bag()
        duration = watcher.last_frame - stamps[0]

    def started(name: str) -> float:
        """Processor time of a node at the first frame; it may have come later."""
        return start[name].processor if name in start else 0.0

    result = {
        "frames": {"in_video": clip.metadata.frame_count} | watcher.frame_counts(),
        "windows": {
            "inspected": len(watcher.reports),
            "defective": sum(report.defective for report in watcher.reports),
        },
        **scores(watcher, clip),
        "alarm_onsets": len(watcher.alarm_delays),
        "alarm_after_report_ms": [round(delay * 1e3, 1) for delay in watcher.alarm_delays.values()],
        "bags": len(finished_bags(output / "bags")),
        "latency_ms": {
            f"p{level}": round(
                1e3 * float(np.percentile([seconds(r.latency) for r in watcher.reports], level)), 1
            )
            for level in (50, 99)
        },
        "processor_percent_of_a_core": {
            name: round(100 * (used.processor - started(name)) / duration)
            for name, used in processor.items()
        },
        "model": watcher.info.model_id if watcher.info else None,
    }
    text = json.dumps(result, indent=2)
    print(text)
    (output / "measured.json").write_text(text + "\n")
    watcher.destroy_node()
    rclpy.shutdown()
    return 0


def scores(watcher: MaskWatcher, clip: Clip) -> dict[str, dict[str, float]]:
    """Pixel scores, eq. (8), and frame-level scores, eq. (9), against the clip's masks."""
    pixel, window = binary_metrics(""), binary_metrics("")
    truth = list(clip.masks())
    counts: dict[int, int] = {}  # true defect pixels by number of the frame
    for stamp, mask in watcher.masks().items():
        number = frame_number(stamp / NANOSECONDS, watcher, clip)
        height, width = mask.shape
        real = resize_mask(truth[number], width, height) > 0
        counts[number] = int(real.sum())
        pixel.update(torch.from_numpy(mask).flatten(), torch.from_numpy(real).flatten())
    for report in watcher.reports:
        first = frame_number(seconds(report.window_start), watcher, clip)
        real = sum(counts[first + t] for t in range(len(report.frame_defect_pixels)))
        window.update(
            torch.tensor([report.defective]), torch.tensor([real > report.pixel_threshold])
        )
    return {
        name: {key: round(float(value), 4) for key, value in metrics.compute().items()}
        for name, metrics in (("pixels", pixel), ("frame_level", window))
    }


def frame_number(stamp: float, watcher: Watcher, clip: Clip) -> int:
    """Which frame of the video bears a stamp (s): the camera stamps them at the video's rate."""
    return round((stamp - watcher.stamps[0]) * clip.metadata.frame_rate)


if __name__ == "__main__":
    run_command(command)
