"""The simulated weld as a camera gives just its frames."""

import numpy as np
import pytest

from weld_inspection.camera.source import CameraError
from weld_inspection.camera.sources import open_source
from weld_inspection.simulation.weld import SimulatedWeld


def test_simulated_weld_is_delivered_frame_by_frame(clock, t0):
    source = open_source("simulated", seed=3, rig="manual", duration=0.2, clock=clock)
    weld = SimulatedWeld(3, "manual", 0.2, 20.0)
    assert (source.width, source.height, source.frame_rate) == (1280, 720, 20.0)
    assert not source.live
    for k in range(weld.frame_count):
        frame = source.read()
        assert frame.stamp_ns == t0 + k * 50_000_000
        assert np.array_equal(frame.image, weld.image(k))
    assert source.read() is None


def test_a_seam_is_rendered_ahead_until_the_source_is_closed(clock, monkeypatch):
    called = []
    for name in ("render_ahead", "close"):
        monkeypatch.setattr(SimulatedWeld, name, lambda weld, name=name: called.append(name))
    source = open_source("simulated", seed=3, rig="manual", duration=0.2, clock=clock)
    assert called == ["render_ahead"]
    source.close()
    assert called == ["render_ahead", "close"]


def test_an_unknown_rig_is_an_error():
    with pytest.raises(CameraError, match="no rig 'robot': .*automatic"):
        open_source("simulated", rig="robot")
