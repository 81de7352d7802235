"""What a parameter file of ROS says of a node, for those that ask before the node runs."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from weld_inspection.errors import InspectionError


def read_node_parameters(path: Path, *nodes: str, namespace: str) -> dict[str, dict[str, Any]]:
    """Reads what a parameter file says of nodes.

    Sections hold for nodes as in ROS: by the node's name with its namespace, in which `*` stands
    for one name and `**` for any number of them. Of what several say the last one counts.

    Args:
        path: The file.
        nodes: Names of nodes.
        namespace: They are in, with its first slash or without.

    Returns:
        By the nodes' names their parameters, nested by the dots in their names; a node that no
        section is for is left out.

    Raises:
        InspectionError: The file cannot be read.
    """
    full = {"/".join(["", *filter(None, namespace.split("/")), node]): node for node in nodes}
    found: dict[str, dict[str, Any]] = {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for pattern, parameters in _sections(content):
            for name, node in full.items():
                if re.fullmatch(_expression(pattern), name):
                    _merge(found.setdefault(node, {}), parameters)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InspectionError(f"cannot read parameters from {path}: {reason}") from error
    return found


def _sections(content: Any, within: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The parameters in a file, by the names of the nodes that they are for.

    Raises:
        ValueError: A name has no parameters.
    """
    if not isinstance(content, dict):
        raise ValueError(
            f"{within or 'it'} has no ros__parameters: nodes are written as in "
            "config/weld_inspection.yaml"
        )
    for name, section in content.items():
        pattern = f"{within}/{str(name).strip('/')}"
        if isinstance(section, dict) and "ros__parameters" in section:
            parameters = section["ros__parameters"]
            if not isinstance(parameters, dict | None):
                raise ValueError(f"the ros__parameters of {pattern} are no names with values")
            yield pattern, parameters or {}
        else:
            yield from _sections(section, pattern)


def _expression(pattern: str) -> str:
    """A regular expression for the names of nodes that a section is for."""
    wildcards = {"*": r"/\w+", "**": r"(/\w+)*"}
    return "".join(wildcards.get(n, "/" + re.escape(n)) for n in pattern.split("/")[1:])


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Takes nested values over; a name with dots is nested, too."""
    for name, value in values.items():
        outer, dot, inner = str(name).partition(".")
        if dot:
            value = {inner: value}
        if isinstance(value, dict):
            if not isinstance(into.get(outer), dict):
                into[outer] = {}
            _merge(into[outer], value)
        else:
            into[outer] = value
