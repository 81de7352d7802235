"""How well frames are marked by what is in the way in them: droplets, a knock, a flash."""

from collections import Counter

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.disturbances import Disturbances
from weld_inspection.simulation.rigs import RIGS
from weld_inspection.simulation.transients import Transients
from weld_inspection.simulation.weld import HEIGHT, SIMULATION_VERSION, WIDTH
from weld_inspection.training.clip_metadata import ClipMetadata

OBSTRUCTIONS = ("none of these", "droplets in flight", "a knock", "a flash")
"""What hides most comes last, and names a frame with several. Droplets may fly beside the seam."""


def obstructions_of(metadata: ClipMetadata) -> list[str]:
    """Tells what is in the way in each frame of a clip.

    Args:
        metadata: Of the clip.

    Returns:
        One of OBSTRUCTIONS a frame; nothing at all where the clip is not of the simulated weld, or
        of another version of it.

    Raises:
        InspectionError: The clip is of a rig that the simulated weld does not have.
    """
    source = metadata.source
    if source.get("kind") != "simulated" or source.get("simulation") != SIMULATION_VERSION:
        return []
    rig, seed = RIGS.get(source.get("rig")), source.get("seed")
    if rig is None or not isinstance(seed, int):
        raise InspectionError(
            f"a clip of the simulated weld with rig {source.get('rig')!r} and seed {seed!r}: its "
            "clip.json is damaged, make the clip again"
        )
    disturbances = Disturbances(rig, seed, metadata.frame_rate)
    transients = Transients(rig, seed, WIDTH, HEIGHT)
    names = []
    for k in range(metadata.frame_count):
        hidden = (
            True,
            transients.droplets(k),
            disturbances.jolt(k) is not None,
            disturbances.flash(k) is not None,
        )
        names.append([name for name, is_so in zip(OBSTRUCTIONS, hidden, strict=True) if is_so][-1])
    return names


class Obstructions:
    """Adds up hits and errors by what is in the way in a frame."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self._frames, self._hits, self._errors = Counter(), Counter(), Counter()

    def add(self, name: str, truth: np.ndarray, found: np.ndarray) -> None:
        """Adds a frame.

        Args:
            name: What is in the way in it.
            truth: (H, W) bool.
            found: (H, W) bool.
        """
        self._frames[name] += 1
        self._hits[name] += int(np.count_nonzero(truth & found))
        self._errors[name] += int(np.count_nonzero(truth ^ found))

    def result(self) -> dict[str, dict[str, float | None]]:
        """Returns `frames` and their pixels' `f1` by what is in the way, as OBSTRUCTIONS go.

        The F1 of frames in which nothing is and nothing is found is None.
        """
        return {name: self._of(name) for name in OBSTRUCTIONS if name in self._frames}

    def _of(self, name: str) -> dict[str, float | None]:
        hits, errors = self._hits[name], self._errors[name]
        f1 = round(2 * hits / (2 * hits + errors), 4) if hits + errors else None
        return {"frames": self._frames[name], "f1": f1}
