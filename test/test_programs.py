"""The nodes' programs while they load."""

import signal
import subprocess
import sys

import pytest

from weld_inspection.nodes import programs


@pytest.mark.parametrize("node", programs.NODES)
def test_ctrl_c_while_loading_ends_quietly(node):
    code = f"import sys; from weld_inspection.nodes.programs import {node}; sys.exit({node}())"
    # importtime prints a line as each module is loaded: rclpy's first ones come long before the end
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", code],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    loading = any("numpy" in line or "rclpy" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    assert loading
    assert process.wait() == 0
    assert "Traceback" not in rest
    assert f"weld_inspection.nodes.{node}" not in rest  # it was not loaded yet
