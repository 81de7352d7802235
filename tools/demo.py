#!/usr/bin/env python3
"""`make demo`: the real system on a simulated weld, or on the user's own video or camera.

Starts the launch file, watches the topics, acknowledges each alarm as an operator would, prints a
line an event and a summary, and turns the bags into pictures.
"""

import argparse
import json
import math
import shutil
import signal
from pathlib import Path

import numpy as np
import rclpy
import yaml
from ament_index_python.packages import get_package_share_directory
from live_system import LaunchedSystem, Watcher, finished_bags, seconds
from rclpy.signals import SignalHandlerOptions

from weld_inspection.commands import run_command
from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.events import Event, score_events, visible
from weld_inspection.report.evidence import make_contact_sheet, make_overlay_video
from weld_inspection.simulation.weld import SimulatedWeld

DEMO_SEED = 20_250  # of a weld that no shipped model was trained on
MADE = ("contact_sheet.png", "events.mp4", "summary.json", "launch.log", "parameters.yaml")


def command(arguments: list[str]) -> int:
    """Runs the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", help="a video file or URL instead of the simulated weld")
    source.add_argument("--device", help="a camera, such as /dev/video0, instead")
    parser.add_argument("--seconds", type=float, default=30.0, help="of weld or camera (30)")
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="of the simulated weld")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="(demo_output)")
    options = parser.parse_args(arguments)
    if options.video and "://" not in options.video and not Path(options.video).is_file():
        raise InspectionError(f"no such video: {options.video}")
    if options.device and not Path(options.device).exists():
        raise InspectionError(f"no such device: {options.device}")
    output = options.output.resolve()
    prepare(output)
    launch_arguments, weld = choose_source(options, output)

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is ours to handle
    watcher = Watcher()
    with LaunchedSystem(launch_arguments, output / "launch.log") as system:
        # Noted, not raised: in one of rclpy's callbacks an exception can get lost.
        usual = signal.signal(signal.SIGINT, lambda *_: watcher.stop.set())
        watch(watcher, system, options.seconds if options.device else math.inf)
        watcher.wait_for_bag()
        signal.signal(signal.SIGINT, usual)
        if watcher.stop.is_set():
            print("  stopped")  # the recorder closes its bag when the system ends
        # The last event may have been open when the source ended.
        print_events(watcher, at_the_end=True)
    summary = summarise(watcher, weld, options)
    bags = finished_bags(output / "bags")
    print_summary(summary, bags)
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    if bags:
        print(f"  contact sheet  {make_contact_sheet(bags, output / 'contact_sheet.png')}")
        print(f"  overlay video  {make_overlay_video(bags, output / 'events.mp4')}")
    watcher.destroy_node()
    rclpy.shutdown()
    return 0


def prepare(output: Path) -> None:
    """Removes what an earlier demo left; touches nothing else in the folder."""
    output.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(output / "bags", ignore_errors=True)
    for name in MADE:
        (output / name).unlink(missing_ok=True)


def choose_source(
    options: argparse.Namespace, output: Path
) -> tuple[list[str], SimulatedWeld | None]:
    """Returns the launch arguments for the chosen source, and the weld if it is simulated."""
    arguments = [f"output_dir:={output / 'bags'}"]
    if options.video:
        path = options.video if "://" in options.video else Path(options.video).resolve()
        return [*arguments, "source:=video", f"path:={path}"], None
    if options.device:
        return [*arguments, "source:=device", f"path:={options.device}"], None
    weld = SimulatedWeld(options.seed, "automatic", options.seconds)
    print(
        f"A simulated weld, seed {options.seed}: {options.seconds:.0f} s at "
        f"{weld.rig.speed * 1e3:.0f} mm/s with {len(planted_defects(weld))} planted defects"
    )
    share = Path(get_package_share_directory("weld_inspection"))
    parameters = yaml.safe_load((share / "config" / "weld_inspection.yaml").read_text())
    plan = {"seed": options.seed, "rig": "automatic", "duration": options.seconds}
    for node in ("camera_driver", "simulated_carriage"):
        entry = parameters.setdefault(f"/**/{node}", {}).setdefault("ros__parameters", {})
        entry.setdefault("simulated", {}).update(plan)
    file = output / "parameters.yaml"
    file.write_text(yaml.safe_dump(parameters))
    return [*arguments, "source:=simulated", f"params_file:={file}"], weld


def watch(watcher: Watcher, system: LaunchedSystem, until: float) -> None:
    """Follows the weld to its end and prints what happens."""
    model = speaker = None
    for _ in watcher.follow(system, until):
        if watcher.info and watcher.info.model_id != model:
            model = watcher.info.model_id
            info = watcher.info
            print(f"  detector: {info.architecture} ({model}), {info.precision} on {info.device}")
        if watcher.alarm and watcher.alarm.speaker != speaker:
            speaker = watcher.alarm.speaker
            print(f"  speaker: {speaker if watcher.alarm.speaker_ok else f'none: {speaker}'}")
        print_events(watcher)


def print_events(watcher: Watcher, *, at_the_end: bool = False) -> None:
    """Prints a line for each event that has just ended, and acknowledges its alarm."""
    for number, event in watcher.newly_finished(at_the_end=at_the_end):
        began = seconds(watcher.reports[event.first].window_start)
        began -= seconds(watcher.reports[0].window_start)
        delay = watcher.alarm_delay(event)
        # An alarm stands until as many sound windows came in a row as its hysteresis asks for.
        alarm = "no new alarm" if delay is None else f"alarm after {delay * 1e3:.0f} ms"
        bag = watcher.recording.bag if watcher.recording else ""
        print(
            f"  {began:6.1f} s  event {number:2d}  {place(event)}  sure {event.confidence:.2f}  "
            f"{alarm}  bag {Path(bag).name or 'none'}",
            flush=True,
        )
        watcher.acknowledge_alarm()


def place(event: Event) -> str:
    """Where along the seam an event lies, for a person."""
    if math.isnan(event.start):
        return "seam position unknown"
    return f"seam {event.start * 1e3:6.1f} to {event.end * 1e3:6.1f} mm"


def planted_defects(weld: SimulatedWeld) -> list:
    """The planted defects that come into view whole."""
    end = (weld.frame_count - 1) / weld.frame_rate
    return visible(weld.defects, weld.position(0.0), weld.position(end))


def summarise(
    watcher: Watcher, weld: SimulatedWeld | None, options: argparse.Namespace
) -> dict[str, object]:
    """Returns the figures of the run."""
    latencies = [seconds(report.latency) * 1e3 for report in watcher.reports]
    summary: dict[str, object] = {
        "source": options.video or options.device or f"simulated, seed {options.seed}",
        "model": watcher.info.model_id if watcher.info else None,
        "frames": watcher.frame_counts(),
        "windows": {
            "inspected": len(watcher.reports),
            "defective": sum(report.defective for report in watcher.reports),
        },
        "events": len(watcher.events()),
        "alarm": {
            "onsets": len(watcher.alarm_delays),
            "after_report_ms": [round(delay * 1e3, 1) for delay in watcher.alarm_delays.values()],
            "speaker": watcher.alarm.speaker if watcher.alarm else None,
        },
        "report_latency_ms": {
            f"p{level}": round(float(np.percentile(latencies, level)), 1) if latencies else None
            for level in (50, 99)
        },
    }
    if weld is not None:
        planted = planted_defects(weld)
        score = score_events(watcher.events(), planted, weld.defects)
        summary["defects"] = {
            "planted": len(planted),
            "found": len(score.found),
            "missed": [
                f"{planted[i].name} ({planted[i].code}) at {planted[i].start * 1e3:.0f} mm"
                for i in score.missed
            ],
            "false_events": len(score.false),
        }
    return summary


def print_summary(summary: dict, bags: list[Path]) -> None:
    """Prints the figures for a person."""
    frames, windows, latency = summary["frames"], summary["windows"], summary["report_latency_ms"]
    print("\nSummary")
    print(
        f"  frames         {frames['captured']} captured, {frames['inspected']} inspected, "
        f"{frames['dropped']} dropped"
    )
    print(f"  windows        {windows['inspected']} inspected, {windows['defective']} defective")
    if "defects" in summary:
        defects = summary["defects"]
        print(
            f"  defects        {defects['planted']} planted, {defects['found']} found, "
            f"{len(defects['missed'])} missed; {defects['false_events']} false events"
        )
        for text in defects["missed"]:
            print(f"                 missed: {text}")
    else:
        print(f"  events         {summary['events']}")
    delays = summary["alarm"]["after_report_ms"]
    worst = f", at most {max(delays)} ms after the report" if delays else ""
    print(f"  alarm          {summary['alarm']['onsets']} onsets{worst}")
    print(
        f"  latency        last frame of a window to its report: p50 {latency['p50']} ms, "
        f"p99 {latency['p99']} ms"
    )
    for bag in bags:
        size = sum(file.stat().st_size for file in bag.rglob("*") if file.is_file())
        print(f"  bag            {bag.name}  {size / 1e6:.0f} MB")
    if not bags:
        print("  bag            none: nothing was flagged")


if __name__ == "__main__":
    run_command(command)
