"""The process of a node: its command line, its signals and its end."""

import argparse
import inspect
import signal
import sys
import threading
from pathlib import Path

import rclpy
import yaml
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from weld_inspection.errors import InspectionError
from weld_inspection.memory import keep_images_in_heap

POLL_S = 0.1  # how soon the node heeds a signal
USAGE_ERROR = 2


def run_node(node_class: type, description: str) -> int:
    """Runs a node until SIGINT or SIGTERM; the main function of every node.

    Args:
        node_class: Subclass of InspectionNode, made without arguments.
        description: What the node does and its topics, for --help.

    Returns:
        Exit status: 0 after a clean end, 1 where the node could not be made, 2 for a wrong option.
    """
    name = Path(inspect.getfile(node_class)).stem
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=describe_parameters(Path(inspect.getfile(node_class))),
        usage=f"ros2 run weld_inspection {name} [--ros-args -p NAME:=VALUE ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    try:
        arguments = remove_ros_args(sys.argv)[1:]
    except RuntimeError as error:  # RCLError, as of a params file that cannot be read
        return _refuse(name, str(error), USAGE_ERROR)
    _, unknown = parser.parse_known_args(arguments)
    if unknown:
        return _refuse(name, f"unknown option {unknown[0]}; see --help", USAGE_ERROR)
    keep_images_in_heap()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # RCLError and UnknownROSArgsError
        return _refuse(name, str(error), USAGE_ERROR)
    try:
        node = node_class()
    except (InspectionError, ParameterException, RuntimeError) as error:
        rclpy.try_shutdown()
        return _refuse(name, str(error), 1)
    _spin(node, stopping)
    return 0


def _spin(node, stopping: threading.Event) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stopping.is_set():
            executor.spin_once(timeout_sec=POLL_S)
    finally:
        node.end()
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()


def _refuse(name: str, text: str, status: int) -> int:
    text = " ".join(text.split())
    print(f"{name}: error: {text}", file=sys.stderr)
    return status


def describe_parameters(module: Path) -> str:
    """Lists the parameters of the YAML beside a node's module.

    Args:
        module: File of the node's class, NAME.py; the parameters are in NAME_parameters.yaml.
    """
    lines = ["parameters (set with --ros-args -p NAME:=VALUE or --params-file FILE):"]
    path = module.with_name(f"{module.stem}_parameters.yaml")
    if path.is_file():
        content = yaml.safe_load(path.read_text())
        for name, entry in sorted(_flatten(content[f"{module.stem}_parameters"])):
            default = entry.get("default_value", "none")
            default = "''" if default == "" else default
            lines.append(f"  {name} ({entry['type']}, default {default})")
            lines.append(f"      {' '.join(str(entry.get('description', '')).split())}")
    lines.append("  autostart (bool, default true)")
    lines.append("      Configure and activate without a lifecycle manager.")
    return "\n".join(lines)


def _flatten(parameters: dict, prefix: str = "") -> list[tuple[str, dict]]:
    """Gives nested parameters their dotted names."""
    found = []
    for name, entry in parameters.items():
        if isinstance(entry, dict) and not isinstance(entry.get("type"), str):
            found += _flatten(entry, f"{prefix}{name}.")
        elif isinstance(entry, dict):
            found.append((prefix + name, entry))
    return found
