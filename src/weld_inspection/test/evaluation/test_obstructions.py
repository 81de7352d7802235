"""Scores by what is in the way in a frame."""

import numpy as np
import pytest

from weld_inspection.errors import InspectionError
from weld_inspection.evaluation.obstructions import OBSTRUCTIONS, Obstructions, obstructions_of
from weld_inspection.simulation.weld import SIMULATION_VERSION, SimulatedWeld
from weld_inspection.training.clip_metadata import ClipMetadata


def metadata(**source):
    return ClipMetadata(20.0, 160, 90, 60, "frames.mkv", "masks.mkv", source)


SIMULATED = {"kind": "simulated", "simulation": SIMULATION_VERSION, "rig": "manual"}


def test_each_frame_is_named_after_what_hides_most_of_it():
    names = obstructions_of(metadata(**SIMULATED, seed=4))
    assert len(names) == 60 and set(names) == set(OBSTRUCTIONS)
    weld = SimulatedWeld(4, "manual", duration=3.0)
    images = [weld.image(k) for k in range(60)]
    drowned = [np.mean(image > 235) for image in images]
    by_name = {
        name: [value for own, value in zip(names, drowned, strict=True) if own == name]
        for name in OBSTRUCTIONS
    }
    assert np.median(by_name["a flash"]) > 10 * np.median(by_name["none of these"])
    # A knock takes the fine structure from a picture.
    sharpness = [np.abs(np.diff(image[..., 1].astype(int), axis=0)).mean() for image in images]
    clear = [value for own, value in zip(names, sharpness, strict=True) if own == "none of these"]
    blurred = [value for own, value in zip(names, sharpness, strict=True) if own == "a knock"]
    assert max(blurred) < min(clear)


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "photo"},
        {"kind": "simulated", "seed": 4, "rig": "manual"},
        SIMULATED | {"seed": 4, "simulation": SIMULATION_VERSION - 1},
    ],
)
def test_nothing_is_told_of_other_clips(source):
    assert obstructions_of(metadata(**source)) == []


def test_a_clip_of_a_rig_that_is_not_there_is_refused():
    with pytest.raises(InspectionError, match="rig 'tripod' and seed 4"):
        obstructions_of(metadata(**SIMULATED | {"rig": "tripod"}, seed=4))


def test_f1_is_that_of_all_frames_of_a_name():
    found = np.zeros((2, 4), bool)
    found[0] = True
    truth = np.zeros((2, 4), bool)
    truth[:, :2] = True
    scores = Obstructions()
    scores.add("a flash", truth, found)  # two hits, two missed, two too many
    scores.add("a flash", truth, truth)  # four hits
    scores.add("none of these", np.zeros_like(truth), np.zeros_like(truth))
    assert scores.result() == {
        "none of these": {"frames": 1, "f1": None},
        "a flash": {"frames": 2, "f1": 0.75},
    }
