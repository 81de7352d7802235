"""What docs/ says of the networks is true."""

import re
from pathlib import Path

import pytest
import torch

from weld_inspection.networks.config import NetworkConfig
from weld_inspection.networks.registry import NETWORKS, build_network

TEXT = (Path(__file__).parent.parent / "docs/networks.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d ]+) \|$", TEXT, re.MULTILINE))


def test_table_has_every_network():
    assert set(ROWS) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_as_told(name):
    network = build_network(NetworkConfig(name))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == int(ROWS[name].replace(" ", ""))


def test_example_is_a_network(monkeypatch):
    code = re.search(r"```python\n(from.*?)```", TEXT, re.DOTALL)[1]
    line = re.search(r"```python\n    (\"two_layers\".*?)```", TEXT, re.DOTALL)[1]
    scope = {}
    exec(compile(code, "docs/networks.md", "exec"), scope)
    entries = eval("{" + line + "}", scope)
    monkeypatch.setitem(NETWORKS, "two_layers", entries["two_layers"])
    network = build_network(NetworkConfig("two_layers"))
    frames = torch.zeros(2, 3, 3, 18, 24)
    assert network(frames).shape == (2, 3, 2, 18, 24)
    network.loss(frames, torch.zeros(2, 3, 18, 24)).backward()
