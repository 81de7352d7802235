"""`make demo` as a user runs it, on a shorter weld."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2

DOMAIN_ID = 48
DEMO = Path(__file__).resolve().parents[1] / "tools" / "demo.py"
SECONDS = 10


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(DEMO), *arguments],
        env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN_ID)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_demo_on_a_simulated_weld(tmp_path):
    done = run("--seconds", str(SECONDS), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["frames"]["captured"] == 20 * SECONDS
    frames = summary["frames"]
    assert 0 < frames["inspected"] <= frames["captured"]
    assert frames["dropped"] == frames["captured"] - frames["inspected"]
    assert summary["defects"]["found"] >= 1
    assert summary["events"] >= 1 and summary["alarm"]["onsets"] >= 1
    assert list((tmp_path / "out" / "bags").glob("*/metadata.yaml"))
    assert "event  1" in done.stdout and "Summary" in done.stdout
    sheet = cv2.imread(str(tmp_path / "out" / "contact_sheet.png"))
    assert sheet is not None and sheet.std() > 10
    video = cv2.VideoCapture(str(tmp_path / "out" / "events.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) >= 20
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 1280


def test_demo_that_is_interrupted_tells_what_it_saw(tmp_path):
    output = tmp_path / "out"
    demo = subprocess.Popen(
        [sys.executable, "-u", str(DEMO), "--output", str(output)],
        env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN_ID)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        begin = []
        while not begin or "event  1" not in begin[-1]:
            begin.append(demo.stdout.readline())
            assert begin[-1], "".join(begin)
        demo.send_signal(signal.SIGINT)
        told, _ = demo.communicate(timeout=120)
    finally:
        demo.kill()
    assert demo.returncode == 0, told
    assert "stopped" in told and "Summary" in told and "Traceback" not in told
    summary = json.loads((output / "summary.json").read_text())
    assert 0 < summary["frames"]["inspected"] < 600
    assert list((output / "bags").glob("*/metadata.yaml"))


def test_demo_on_an_input_that_is_not_there():
    done = run("--video", "none.mp4")
    assert done.returncode == 1
    assert done.stderr.strip() == "demo.py: error: no such video: none.mp4"
    done = run("--device", "/dev/no_camera")
    assert done.returncode == 1
    assert done.stderr.strip() == "demo.py: error: no such device: /dev/no_camera"
