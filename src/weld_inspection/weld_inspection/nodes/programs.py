"""The nodes' programs: what `ros2 run weld_inspection NODE` calls.

A node's module takes seconds to load (torch, OpenCV, ROS messages), and Python would answer a
Ctrl-C in that time with a traceback of whatever was being imported.
"""

import os
import signal
from collections.abc import Callable
from importlib import import_module

NODES = (
    "camera_driver",
    "defect_detector",
    "alarm",
    "recorder",
    "simulated_carriage",
    "recorded_carriage",
)


def _program(node: str) -> Callable[[], int]:
    def main() -> int:
        # Nothing is open yet: the process may end on the spot. `run_node` takes over from here.
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
        return import_module(f"weld_inspection.nodes.{node}").main()

    return main


camera_driver, defect_detector, alarm, recorder, simulated_carriage, recorded_carriage = (
    _program(node) for node in NODES
)
