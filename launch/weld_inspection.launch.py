"""Camera, detector, alarm and recorder; with source:=simulated or bag the carriage too.

An argument that is given wins over params_file; one left out leaves params_file as it is.
"""

import os
import tempfile
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from weld_inspection.nodes.parameter_files import read_node_parameters

PACKAGE = "weld_inspection"
CONFIG = Path(get_package_share_directory(PACKAGE)) / "config"
SOURCES = ["device", "video", "images", "bag", "simulated"]
BOOLEANS = ["true", "false"]
RESPAWN_DELAY_S = 2.0
PARAMETER_FOLDER = tempfile.TemporaryDirectory(prefix="weld_inspection_")  # goes with the process
SHARED_MEMORY_BYTES = 6 * 64 * 2**20  # a segment of fastdds_profile.xml for each node, and spare

# name, default, choices, description; an empty default is "as in params_file".
ARGUMENTS = [
    ("source", "", ["", *SOURCES], "Where frames come from. Left out: as in params_file."),
    ("path", "", None, "Of the device, video, folder or bag. Left out: as in params_file."),
    (
        "model",
        "",
        None,
        "Model file, or the name of a shipped one. Left out: as in params_file, where empty is the "
        "best shipped one that keeps up on this machine.",
    ),
    ("params_file", str(CONFIG / "weld_inspection.yaml"), None, "Parameters of all nodes."),
    ("namespace", "weld", None, "Namespace of nodes and topics."),
    ("output_dir", "", None, "Folder for the recorded bags. Left out: as in params_file."),
    ("record", "true", BOOLEANS, "Start the recorder."),
    ("alarm", "true", BOOLEANS, "Start the alarm."),
    (
        "use_sim_time",
        "",
        ["", *BOOLEANS],
        "Take the time from /clock. Left out: as in params_file, else false.",
    ),
    (
        "autostart",
        "",
        ["", *BOOLEANS],
        "Configure and activate the nodes; false leaves that to a lifecycle manager. "
        "Left out: as in params_file, else true.",
    ),
    ("respawn", "false", BOOLEANS, "Start a node again that has died."),
    (
        "log_level",
        "info",
        ["debug", "info", "warn", "error", "fatal"],
        "Lowest severity that the nodes log.",
    ),
]


def write_parameters(path: Path, key: str, values: dict) -> str:
    """Writes a parameter file for one node.

    Of the entries that match a node, ROS lets the one win whose key appeared last for the first
    time in all files. So `key` is a way to write "this node" that no other file will use: the order
    of the files is then the order of precedence.
    """
    path.write_text(yaml.safe_dump({key: {"ros__parameters": values}}))
    return str(path)


def fast_dds_actions() -> list[LaunchDescriptionEntity]:
    """Sets the profile for images, unless the user has another or another middleware."""
    variable = "FASTRTPS_DEFAULT_PROFILES_FILE"
    user_set = variable in os.environ or "FASTDDS_DEFAULT_PROFILES_FILE" in os.environ
    if user_set or os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp":
        return []
    free = os.statvfs("/dev/shm")
    if free.f_bavail * free.f_frsize < SHARED_MEMORY_BYTES:
        text = f"/dev/shm has less than {SHARED_MEMORY_BYTES >> 20} MB free: images go by UDP"
        return [LogInfo(msg=text)]
    return [
        SetEnvironmentVariable(variable, str(CONFIG / "fastdds_profile.xml")),
        SetEnvironmentVariable("RMW_FASTRTPS_USE_QOS_FROM_XML", "1"),
    ]


def make_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Makes the nodes as the arguments say."""
    values = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    params_file = Path(values["params_file"]).expanduser()
    # Of a launch file that includes this one; a name with a first slash stands by itself.
    outer = context.launch_configurations.get("ros_namespace", "")
    namespace = values["namespace"]
    if not namespace.startswith("/"):
        namespace = f"{outer}/{namespace}"
    of_nodes = read_node_parameters(params_file, "camera_driver", namespace=namespace)
    camera_file = of_nodes.get("camera_driver", {})
    source = values["source"] or camera_file.get("source", "device")
    recorded, simulated = values["record"] == "true", source == "simulated"
    replayed = source == "bag"

    folder = Path(PARAMETER_FOLDER.name)
    common = {
        name: values[name] == "true" for name in ("use_sim_time", "autostart") if values[name]
    }

    def given(*names: str) -> dict:
        """The arguments that are not left out; each is named as the parameter it sets."""
        return {name: values[name] for name in names if values[name]}

    def node(name: str, defaults: dict, arguments: dict) -> Node:
        return Node(
            package=PACKAGE,
            executable=name,
            name=name,
            namespace=values["namespace"],
            parameters=[
                write_parameters(folder / f"{name}_defaults.yaml", f"/**/**/**/{name}", defaults),
                str(params_file),
                write_parameters(
                    folder / f"{name}_arguments.yaml", f"/**/**/{name}", arguments | common
                ),
            ],
            respawn=values["respawn"] == "true",
            respawn_delay=RESPAWN_DELAY_S,
            output="screen",
            sigterm_timeout="20",  # the recorder writes its bags to the end first
            sigkill_timeout="20",
            arguments=["--ros-args", "--log-level", values["log_level"]],
        )

    # A recording starts when those who use it are there, so that they miss no frame. They in turn
    # wait for their own listeners, though not as long: the camera begins without who is missing.
    alarmed = values["alarm"] == "true"
    path = values["path"] or camera_file.get("path") or ""
    # What lies on a server may be a live stream, which waits for nobody.
    played = source != "device" and "://" not in path.removeprefix("file://")
    awaited = {
        "image_subscribers": 1 + recorded,
        "camera_info_subscribers": int(recorded) + simulated + replayed,
    }
    listeners = {}
    if "timeout" in (camera_file.get("start") or {}):
        listeners["timeout"] = camera_file["start"]["timeout"] / 2
    results = {"report_subscribers": played * (alarmed + recorded)}
    results["mask_subscribers"] = int(played and recorded)
    carriage = {"start": listeners | {"subscribers": 1 + recorded}}
    nodes = [
        node("camera_driver", {"start": awaited}, given("source", "path")),
        node("defect_detector", {"start": listeners | results}, given("model")),
    ]
    if alarmed:
        nodes.append(node("alarm", {}, {}))
    if recorded:
        nodes.append(node("recorder", {}, given("output_dir")))
    if simulated:
        weld = dict(camera_file.get("simulated") or {}) | carriage
        weld["loop"] = camera_file.get("loop", False)
        if camera_file.get("frame_rate"):
            weld["frame_rate"] = camera_file["frame_rate"]
        nodes.append(node("simulated_carriage", weld, {}))
    if replayed:
        bag = {"path": path} | {
            name: camera_file[name] for name in ("loop", "bag_topic") if name in camera_file
        }
        nodes.append(node("recorded_carriage", carriage | bag, given("path")))
    return [*fast_dds_actions(), *nodes]


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments and makes the nodes."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, choices=choices, description=description)
        for name, default, choices, description in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=make_nodes)])
