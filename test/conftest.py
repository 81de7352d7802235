"""Fixtures of the tests that start real nodes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_graph import Graph


@pytest.fixture
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Graph]:
    """A ROS domain with real nodes in processes and a node in the test.

    The domain is the test module's DOMAIN_ID. At the end every process is ended by SIGINT; one that
    printed a traceback, hung, or ended badly fails the test.
    """
    graph = Graph(request.module.DOMAIN_ID, tmp_path)
    yield graph
    graph.close()
