"""Builds weld_inspection: parameter modules from their YAML, and the workspace's shared files."""

import contextlib
import os
import sys
from pathlib import Path

from generate_parameter_library_py.generate_python_module import run as generate_parameters
from setuptools import find_packages, setup

NAME = "weld_inspection"
PACKAGE = Path(__file__).resolve().parent
WORKSPACE = PACKAGE.parents[1]
SHARED_FOLDERS = ("launch", "config", "models")

sys.path.insert(0, str(PACKAGE))  # a build's own folder need not be the package's
from weld_inspection.nodes.programs import NODES  # noqa: E402

COMMANDS = (
    "make_dataset",
    "train",
    "average",
    "evaluate",
    "study",
    "export",
    "benchmark",
    "inspect_bag",
)


def generate_parameter_modules() -> None:
    """Writes weld_inspection/NAME_parameters.py for every nodes/NAME_parameters.yaml.

    Into the source folder, where a build with and one without --symlink-install both find them.
    """
    for yaml in sorted((PACKAGE / NAME / "nodes").glob("*_parameters.yaml")):
        module = PACKAGE / NAME / f"{yaml.stem}.py"
        if not module.exists() or module.stat().st_mtime <= yaml.stat().st_mtime:
            # colcon reads this script's standard output, so the generator must not write to it.
            with contextlib.redirect_stdout(sys.stderr):
                generate_parameters(str(module), str(yaml), "")


def shared_files() -> list[tuple[str, list[str]]]:
    """Lists the workspace's top-level folders for installation into share/weld_inspection.

    The paths are relative to the folder the build runs in, as distutils wants them.
    """
    files: dict[str, list[str]] = {}
    for shared in SHARED_FOLDERS:
        for path in sorted((WORKSPACE / shared).rglob("*")):
            made_here = any(part == "__pycache__" or ".openvino_" in part for part in path.parts)
            if path.is_file() and not made_here:
                target = f"share/{NAME}/{path.parent.relative_to(WORKSPACE)}"
                files.setdefault(target, []).append(os.path.relpath(path))
    return list(files.items())


generate_parameter_modules()

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(exclude=["test", "test.*"]),
    package_data={NAME: ["nodes/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared_files(),
    ],
    install_requires=["setuptools"],
    extras_require={"test": ["pytest"]},  # tells colcon test to run pytest
    zip_safe=False,
    maintainer="Weld Inspection Maintainers",
    maintainer_email="maintainers@weld-inspection.org",
    description="Finds defects in a weld seam while it is welded.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            *(f"{node} = {NAME}.nodes.programs:{node}" for node in NODES),
            *(f"{command} = {NAME}.commands.{command}:main" for command in COMMANDS),
        ],
    },
)
