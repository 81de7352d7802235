"""What a parameter file of ROS says of a node, for those that ask before the node runs."""

import re
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
        By the nodes' names their parameters, nested as in the file; a node that no section is for
        is left out.

    Raises:
        InspectionError: The file cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for pattern, section in sections.items():
            for node in nodes:
                if _is_for(pattern, "/".join(["", *filter(None, namespace.split("/")), node])):
                    if "ros__parameters" not in section:
                        raise ValueError(f"{pattern} has no ros__parameters")
                    _merge(found.setdefault(node, {}), section["ros__parameters"] or {})
    except (OSError, ValueError, yaml.YAMLError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InspectionError(f"cannot read parameters from {path}: {reason}") from error
    return found


def _is_for(pattern: str, node: str) -> bool:
    """Whether a section of that name holds for a node, given with its namespace."""
    wildcards = {"*": r"/\w+", "**": r"(/\w+)*"}
    names = pattern.strip("/").split("/")
    return bool(re.fullmatch("".join(wildcards.get(n, "/" + re.escape(n)) for n in names), node))


def _merge(into: dict[str, Any], values: dict[str, Any]) -> None:
    """Takes nested values over."""
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
