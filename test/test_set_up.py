"""Which ROS is taken, and that what is set up is not set up again."""

import os
import subprocess
from pathlib import Path

import pytest

WORKSPACE = Path(__file__).parents[1]
TOOLS = WORKSPACE / "tools"
RUN_S = 600.0  # a hang

ROS_VARIABLES = (
    "ROS_DISTRO",
    "ROS_VERSION",
    "ROS_PYTHON_VERSION",
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "VIRTUAL_ENV",
)


@pytest.fixture
def ros_prefix():
    """The ROS that this test runs with."""
    for folder in os.environ["AMENT_PREFIX_PATH"].split(":"):
        if Path(folder, "share/ament_index/resource_index/packages/rclpy").exists():
            return folder
    raise AssertionError("no ROS is sourced")


@pytest.fixture
def bare(ros_prefix):
    """The environment of a shell that knows nothing of ROS or of this workspace.

    Where it looks for an installed ROS it finds the one that this test runs with.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ROS_VARIABLES}
    path = [folder for folder in environment["PATH"].split(":") if str(WORKSPACE) not in folder]
    if ros_prefix != str(WORKSPACE / ".ros/jazzy"):
        environment["WELD_SYSTEM_ROS"] = ros_prefix
    return environment | {"PATH": ":".join(path)}


def bash(script, environment):
    """Runs a script in a bash of its own."""
    return subprocess.run(
        ["bash", "-c", script],
        env=environment,
        cwd=WORKSPACE,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def selected(environment, before=""):
    """What select_ros takes: kind and prefix."""
    script = f"{before}\nsource tools/select_ros.bash && select_ros {WORKSPACE} && "
    result = bash(script + 'echo "$weld_ros_kind $weld_ros"', environment)
    return result.stdout.strip() if result.returncode == 0 else result.stderr


def fake_ros(folder):
    """A prefix that looks like a ROS installation."""
    marker = folder / "share/ament_index/resource_index/packages/rclpy"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (folder / "setup.bash").write_text(f"export ROS_DISTRO=jazzy AMENT_PREFIX_PATH={folder}\n")
    return folder


def test_without_any_ros_the_underlay_is_taken(bare, tmp_path):
    environment = bare | {"WELD_SYSTEM_ROS": str(tmp_path)}
    assert selected(environment) == f"underlay {WORKSPACE}/.ros/jazzy"


def test_a_ros_installation_is_taken_before_the_underlay(bare, tmp_path):
    environment = bare | {"WELD_SYSTEM_ROS": str(fake_ros(tmp_path))}
    assert selected(environment) == f"system {tmp_path}"


def test_a_sourced_ros_is_taken_before_all(bare, ros_prefix, tmp_path):
    environment = bare | {"WELD_SYSTEM_ROS": str(fake_ros(tmp_path))}
    assert selected(environment, f"source {ros_prefix}/setup.bash") == f"sourced {ros_prefix}"


def test_another_distribution_is_refused(bare):
    environment = bare | {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": "/opt/ros/humble"}
    assert "this shell has ROS humble sourced; it needs jazzy" in selected(environment)
    result = bash("tools/set_up.sh", environment)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    result = bash("source setup.bash", environment)
    assert result.returncode == 1


def test_a_sourced_prefix_without_rclpy_is_refused(bare, tmp_path):
    environment = bare | {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": str(tmp_path)}
    assert "no folder of AMENT_PREFIX_PATH holds rclpy" in selected(environment)


@pytest.mark.parametrize("sourced", [False, True])
def test_nothing_is_set_up_twice(bare, ros_prefix, sourced):
    """Whether ROS is found by the script or sourced by the user, all that it needs is there."""
    stamps = [WORKSPACE / name for name in (".venv/.ready", "install/.ready")]
    before = [stamp.stat().st_mtime_ns for stamp in stamps]
    script = f"source {ros_prefix}/setup.bash\n" if sourced else ""
    result = bash(f"{script}tools/set_up.sh", bare)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert [stamp.stat().st_mtime_ns for stamp in stamps] == before


@pytest.mark.parametrize("sourced", [False, True])
def test_setup_bash_enters_the_workspace(bare, ros_prefix, sourced):
    of_user = {"ROS_DOMAIN_ID": "17", "FASTRTPS_DEFAULT_PROFILES_FILE": "/of/user.xml"}
    before = f"source {ros_prefix}/setup.bash\n" if sourced else ""
    script = f"""{before}set -eu
        source setup.bash
        cd /
        ros2 pkg executables weld_inspection
        python -c 'import torch, rclpy, weld_inspection, weld_interfaces.msg'
        echo "$ROS_DISTRO $ROS_DOMAIN_ID $FASTRTPS_DEFAULT_PROFILES_FILE"
        echo "middleware: ${{RMW_IMPLEMENTATION-none}}"
        command -v colcon"""
    environment = bare | of_user
    environment.pop("RMW_IMPLEMENTATION", None)
    result = bash(script, environment)
    assert result.returncode == 0, result.stderr
    for node in ("camera_driver", "defect_detector", "alarm", "recorder", "train"):
        assert f"weld_inspection {node}\n" in result.stdout
    assert "jazzy 17 /of/user.xml\nmiddleware: none\n" in result.stdout
    assert f"{WORKSPACE}/.venv/bin/colcon" in result.stdout


def test_colcon_builds_without_symlinks_elsewhere(tmp_path):
    """`colcon build` as an integrator runs it in a workspace of his own."""
    script = f"""colcon --log-base {tmp_path}/log build --build-base {tmp_path}/build \
        --install-base {tmp_path}/install --packages-select weld_inspection
        source {tmp_path}/install/local_setup.bash
        ros2 pkg prefix weld_inspection
        ls {tmp_path}/install/weld_inspection/share/weld_inspection
        python -c 'import weld_inspection.camera_driver_parameters as m; print(m.__file__)'
        {tmp_path}/install/weld_inspection/lib/weld_inspection/camera_driver --help"""
    result = bash(script, dict(os.environ))
    assert result.returncode == 0, result.stdout + result.stderr
    prefix = f"{tmp_path}/install/weld_inspection"
    assert f"\n{prefix}\n" in result.stdout
    assert f"{prefix}/lib/python3" in result.stdout
    for text in (
        "launch\n",
        "config\n",
        "models\n",
        "usage: ros2 run weld_inspection camera_driver",
    ):
        assert text in result.stdout
