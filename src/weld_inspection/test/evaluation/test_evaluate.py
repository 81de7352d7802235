"""Places along the seam are told by the scale of the clip's rig."""

from types import SimpleNamespace

import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.evaluate import evaluate, inspect_clip
from weld_inspection.evaluation.obstructions import OBSTRUCTIONS, obstructions_of
from weld_inspection.inspection.decision import DecisionSettings
from weld_inspection.inspection.inspector import WindowsAtOnce
from weld_inspection.simulation.weld import SIMULATION_VERSION
from weld_inspection.training.clip_metadata import ClipMetadata
from weld_inspection.training.clips import Clip, ClipDefect, ClipWriter

WIDTH, HEIGHT, T = 160, 90, 4
CENTER = 1.0  # m
COLUMNS = slice(152, 159)  # their middle is 75.5 pixels from the image's
MANUAL = {"kind": "simulated", "seed": 0, "rig": "manual"}
AUTOMATIC = {"kind": "simulated", "seed": 0, "rig": "automatic"}


class BrightnessEngine(WindowsAtOnce):
    """A pixel's defect probability is its brightness."""

    info = SimpleNamespace(width=WIDTH, height=HEIGHT, window=T, threshold=0.5)

    def judge(self, frames):
        return np.stack(frames).max(3).astype(np.float32) / 255


def write(folder, source, *defects, frames=T, frame_rate=20):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:80, COLUMNS] = 255
    with ClipWriter(
        folder,
        width=WIDTH,
        height=HEIGHT,
        frame_rate=frame_rate,
        source=source,
        defects=list(defects),
    ) as writer:
        for _ in range(frames):
            writer.add(np.repeat(mask[..., None], 3, 2), mask, CENTER)


@pytest.mark.parametrize(
    ("source", "scale"), [(MANUAL, 4e-5), (AUTOMATIC, 3.75e-5), ({"kind": "recording"}, 3.75e-5)]
)
def test_a_region_lies_where_the_rig_of_its_clip_shows_it(tmp_path, source, scale):
    write(tmp_path / "a", source)
    (result,) = inspect_clip(BrightnessEngine(), Clip(tmp_path / "a"), DecisionSettings())
    (region,) = result.regions
    assert region.seam_position == pytest.approx(CENTER + 75.5 * 8 * scale, abs=1e-6)


def test_defects_at_the_edge_of_the_wider_view(tmp_path):
    pore = ClipDefect("2017", "surface pore", CENTER + 0.02304, CENTER + 0.02528)
    write(tmp_path / "manual", MANUAL, pore)
    (score,) = evaluate(BrightnessEngine(), [tmp_path / "manual"])
    assert (score.planted, score.found, score.false_events) == (1, 1, 0)
    assert score.offset_mm == pytest.approx(0, abs=0.01)
    write(tmp_path / "automatic", AUTOMATIC, pore)  # whose view ends 24 mm from its middle
    (score,) = evaluate(BrightnessEngine(), [tmp_path / "automatic"])
    assert score.planted == 0


def test_a_patch_is_of_the_defect_that_the_rig_shows_there(tmp_path):
    pore = ClipDefect("2017", "surface pore", CENTER + 0.0236, CENTER + 0.0248)
    crack = ClipDefect("101", "longitudinal crack", CENTER + 0.0222, CENTER + 0.0230)
    for source, kind in ((MANUAL, "surface pore"), (AUTOMATIC, "longitudinal crack")):
        folder = tmp_path / source["rig"]
        write(folder, source, pore, crack)
        (score,) = evaluate(BrightnessEngine(), [folder])
        assert score.kinds[kind]["pixels"] == 70 * 7 * T


def test_events_are_judged_where_the_defects_are_known(tmp_path):
    recording = {"kind": "recording"}
    write(tmp_path / "labelled", recording)  # defects in its masks, of which no list tells
    write(tmp_path / "listed", recording, ClipDefect("2017", "surface pore", 1.0216, 1.0237))
    with ClipWriter(
        tmp_path / "sound", width=WIDTH, height=HEIGHT, frame_rate=20, source=recording
    ) as writer:
        for _ in range(T):
            writer.add(
                np.full((HEIGHT, WIDTH, 3), 255, np.uint8),
                np.zeros((HEIGHT, WIDTH), np.uint8),
                CENTER,
            )
    (labelled,), (listed,), (sound,) = (
        evaluate(BrightnessEngine(), [tmp_path / name]) for name in ("labelled", "listed", "sound")
    )
    assert (labelled.planted, labelled.false_events) == (0, 0)
    assert (listed.planted, listed.found, listed.false_events) == (1, 1, 0)
    assert sound.false_events == 1


def test_a_clip_that_is_shorter_than_a_window_counts_nowhere(tmp_path):
    pore = ClipDefect("2017", "surface pore", 1.0216, 1.0237)
    write(tmp_path / "long", AUTOMATIC, pore)
    write(tmp_path / "short", AUTOMATIC, pore, frames=T - 1)
    (score,) = evaluate(BrightnessEngine(), [tmp_path])
    assert (score.clips_left_out, score.planted, score.found) == (1, 1, 1)
    assert score.minutes == pytest.approx(T / 20 / 60)
    with pytest.raises(InspectionError, match="no clip of .* is as long as a window of 4 frames"):
        evaluate(BrightnessEngine(), [tmp_path / "short"])


def test_what_comes_after_the_last_whole_window_is_not_judged(tmp_path):
    pore = ClipDefect("2017", "surface pore", 1.0216, 1.0237)
    late = ClipDefect("2017", "surface pore", 2.0216, 2.0237)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:80, COLUMNS] = 255
    with ClipWriter(
        tmp_path / "clip",
        width=WIDTH,
        height=HEIGHT,
        frame_rate=20,
        source=AUTOMATIC,
        defects=[pore, late],
    ) as writer:
        for k in range(2 * T - 1):  # the second is not shown in a whole window
            writer.add(np.repeat(mask[..., None], 3, 2), mask, CENTER + (k >= T))
    (score,) = evaluate(BrightnessEngine(), [tmp_path])
    assert (score.windows, score.planted, score.found) == (1, 1, 1)
    assert score.minutes == pytest.approx(T / 20 / 60)


def test_a_frame_counts_to_what_is_in_the_way_in_it(tmp_path):
    """The network sees nothing behind a flash: those frames, and no others, have an F1 of 0."""
    source = AUTOMATIC | {"simulation": SIMULATION_VERSION}
    count = 20 * T
    names = obstructions_of(ClipMetadata(20.0, WIDTH, HEIGHT, count, "", "", source))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:80, COLUMNS] = 255
    with ClipWriter(
        tmp_path / "clip", width=WIDTH, height=HEIGHT, frame_rate=20, source=source
    ) as writer:
        for name in names:
            writer.add(np.repeat(mask[..., None], 3, 2) * (name != "a flash"), mask)
    (score,) = evaluate(BrightnessEngine(), [tmp_path])
    assert score.obstructions == {
        name: {"frames": names.count(name), "f1": float(name != "a flash")}
        for name in OBSTRUCTIONS
        if name in names
    }
    assert 0 < names.count("a flash") < count / 2


@pytest.mark.parametrize("frame_rate", [0.1, 20, 200])
def test_the_rate_of_a_clip_changes_nothing(tmp_path, frame_rate):
    pore = ClipDefect("2017", "surface pore", 1.0216, 1.0237)
    write(tmp_path / "clip", AUTOMATIC, pore, frames=3 * T, frame_rate=frame_rate)
    (score,) = evaluate(BrightnessEngine(), [tmp_path])
    assert (score.windows, score.pixel["f1"], score.found) == (3, 1.0, 1)


def test_windows_are_judged_by_the_threshold_given(tmp_path):
    write(tmp_path / "clip", AUTOMATIC)
    pixels = 70 * 7 * T
    for threshold, f1 in ((pixels - 1, 1.0), (pixels, 0.0)):
        (score,) = evaluate(BrightnessEngine(), [tmp_path], pixel_threshold=threshold)
        assert score.window["f1"] == f1
