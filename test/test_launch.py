"""The launch file: its arguments, what they override, and the environment of its nodes."""

import shutil
from pathlib import Path

import psutil
import pytest
import yaml
from rcl_interfaces.srv import GetParameters
from ros_graph import FAST_DDS

DOMAIN_ID = 49
WORKSPACE = Path(__file__).parents[1]
NODES = WORKSPACE / "src/weld_inspection/weld_inspection/nodes"
DEFAULTS = WORKSPACE / "config/weld_inspection.yaml"
ARGUMENTS = (
    "source path model params_file namespace output_dir record alarm use_sim_time autostart "
    "respawn log_level"
).split()


def flatten(parameters, prefix=""):
    """Dotted names and values of nested parameters."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def declared(node):
    """Dotted names and entries of the parameters in a node's YAML."""
    content = yaml.safe_load((NODES / f"{node}_parameters.yaml").read_text())

    def walk(entries, prefix=""):
        for name, entry in entries.items():
            if isinstance(entry.get("type"), str):
                yield prefix + name, entry
            else:
                yield from walk(entry, f"{prefix}{name}.")

    return dict(walk(content[f"{node}_parameters"]))


def parameter(graph, node, name):
    """Asks a running node for a parameter."""
    request = GetParameters.Request(names=[name])
    service = f"/{node}/get_parameters"
    value = graph.call(GetParameters, service, request, repeat=True).values[0]
    fields = [None, "bool", "integer", "double", "string"]
    return getattr(value, f"{fields[value.type]}_value")


def write(path, **sections):
    """Writes a parameter file with one section for each node."""
    content = {f"/**/{node}": {"ros__parameters": values} for node, values in sections.items()}
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_shipped_parameters_are_the_nodes_defaults():
    for key, section in yaml.safe_load(DEFAULTS.read_text()).items():
        known = declared(key.split("/")[-1])
        for name, value in flatten(section["ros__parameters"]):
            assert value == known[name]["default_value"], f"{key} {name}"
            assert type(value) is type(known[name]["default_value"]), f"{key} {name}"


@pytest.mark.parametrize("path", sorted(NODES.glob("*_parameters.yaml")), ids=lambda p: p.stem)
def test_every_parameter_says_what_it_is(path):
    for name, entry in declared(path.stem.removesuffix("_parameters")).items():
        assert entry.get("description"), name
        assert "default_value" in entry, name


def names_of_nodes(graph):
    return {name for name, _ in graph.node.get_node_names_and_namespaces()}


def test_arguments_are_told_with_description_and_default(graph):
    process = graph.start(
        ["ros2", "launch", "weld_inspection", "weld_inspection.launch.py", "--show-args"]
    )
    assert process.wait() == 0
    for name in ARGUMENTS:
        description, _, default = process.output.partition(f"'{name}':\n")[2].partition("(default")
        assert description.strip() and default, name


def test_arguments_that_are_given_win_and_others_leave_the_file(graph, tmp_path):
    file = write(
        tmp_path / "weld.yaml",
        camera_driver={
            "source": "video",
            "path": "file:///no/such.mp4",
            "frame_id": "my_camera",
            "simulated": {"seed": 7, "duration": 5.0},
        },
        recorder={"output_dir": str(tmp_path / "bags"), "pre_roll": 1.5},
    )
    # An entry for all nodes that comes first must not win over arguments either.
    file.write_text("/**:\n  ros__parameters:\n    path: /of/all\n" + file.read_text())
    graph.launch(params_file=file, source="simulated", alarm="false", autostart="false")
    assert parameter(graph, "weld/camera_driver", "source") == "simulated"
    assert parameter(graph, "weld/camera_driver", "path") == "file:///no/such.mp4"
    assert parameter(graph, "weld/camera_driver", "frame_id") == "my_camera"
    assert parameter(graph, "weld/camera_driver", "autostart") is False
    assert parameter(graph, "weld/camera_driver", "start.image_subscribers") == 2
    assert parameter(graph, "weld/camera_driver", "start.camera_info_subscribers") == 2
    assert parameter(graph, "weld/simulated_carriage", "seed") == 7
    assert parameter(graph, "weld/simulated_carriage", "duration") == 5.0
    assert parameter(graph, "weld/simulated_carriage", "start.subscribers") == 2
    assert parameter(graph, "weld/defect_detector", "start.report_subscribers") == 1
    assert parameter(graph, "weld/recorder", "output_dir") == str(tmp_path / "bags")
    assert parameter(graph, "weld/recorder", "pre_roll") == 1.5
    assert graph.state("weld/defect_detector") == "unconfigured"
    wanted = {"camera_driver", "defect_detector", "recorder", "simulated_carriage"}
    graph.wait_for(lambda: names_of_nodes(graph) >= wanted, what="all nodes to be seen")
    assert "alarm" not in names_of_nodes(graph)


def test_namespace_and_switches(graph, tmp_path):
    graph.launch(
        namespace="cell_4",
        source="images",
        path=tmp_path,
        record="false",
        autostart="false",
        use_sim_time="true",
    )
    assert parameter(graph, "cell_4/camera_driver", "path") == str(tmp_path)
    assert parameter(graph, "cell_4/camera_driver", "start.image_subscribers") == 1
    assert parameter(graph, "cell_4/defect_detector", "start.report_subscribers") == 1
    assert parameter(graph, "cell_4/alarm", "use_sim_time") is True
    assert graph.state("cell_4/defect_detector") == "unconfigured"
    wanted = {"camera_driver", "defect_detector", "alarm"}
    graph.wait_for(lambda: names_of_nodes(graph) >= wanted, what="all nodes to be seen")
    assert not names_of_nodes(graph) & {"recorder", "simulated_carriage"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"source": "radio"}, 'Argument "source" provided value "radio" is not valid'),
        ({"params_file": "/no/such.yaml"}, "cannot read parameters from /no/such.yaml"),
    ],
)
def test_wrong_arguments_end_the_launch_with_one_reason(graph, arguments, text):
    process = graph.launch(**arguments)
    assert process.wait() != 0
    assert text in process.output


def process_of(graph, process, name):
    """The process of a node."""
    words = f"[{name}]: process started with pid ["
    graph.wait_for_output(process, words)
    return psutil.Process(int(process.output.partition(words)[2].split("]")[0]))


def test_recorder_gives_way(graph, tmp_path):
    process = graph.launch(
        source="images",
        path=tmp_path,
        alarm="false",
        autostart="false",
        output_dir=tmp_path / "bags",
    )
    graph.wait_for_state("weld/recorder", "unconfigured")
    recorder = process_of(graph, process, "recorder-3")
    assert recorder.nice() == min(19, process_of(graph, process, "camera_driver-1").nice() + 5)


@pytest.mark.parametrize("of_user", [None, "user.xml"])
def test_fast_dds_profile_is_set_unless_the_user_has_one(graph, of_user, tmp_path):
    name, use_all = FAST_DDS
    profile = graph.environment.pop(name)
    graph.environment.pop(use_all)
    if of_user:
        of_user = shutil.copy(profile, tmp_path / of_user)
    # Without the user's, the nodes must not find the one that the fixture sets.
    changed = {name: str(of_user)} if of_user else {}
    process = graph.launch(
        changed, source="images", path=tmp_path, record="false", alarm="false", autostart="false"
    )
    environment = process_of(graph, process, "camera_driver-1").environ()
    value = environment[name]
    if of_user:
        assert value == str(of_user)
        assert use_all not in environment
    else:
        assert value.endswith("share/weld_inspection/config/fastdds_profile.xml")
        assert Path(value).is_file()
        assert environment[use_all] == "1"
    for node in ("camera_driver", "defect_detector"):
        graph.wait_for_state(f"weld/{node}", "unconfigured")
