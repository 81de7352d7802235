"""The clips of a data set before they are made: what to render, with which seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.weld import FASTEST, SIMULATION_VERSION, SimulatedWeld
from weld_inspection.training.clips import ClipDefect, ClipWriter
from weld_inspection.training.photo_camera import PhotoCamera
from weld_inspection.training.photographs import Photograph

FRAME_RATE = 20.0
"""Frames a second, as the paper's camera."""


@dataclass(frozen=True, slots=True)
class ClipStore:
    """How clips are stored.

    Attributes:
        width: Width of the stored frames, px.
        height: Height of the stored frames, px.
        codec: "ffv1" or "mp4", see `training.clips`.
    """

    width: int = 160
    height: int = 90
    codec: str = "ffv1"


class ClipPlan(Protocol):
    """One clip to be made; plain values, so that another process can make it."""

    name: str

    @property
    def frame_count(self) -> int:
        """Number of frames the clip will have."""

    @property
    def source(self) -> dict[str, Any]:
        """See `ClipMetadata.source`."""

    def make(self, folder: Path, store: ClipStore, advance: Callable[[], None]) -> None:
        """Renders the clip into a folder, calling `advance` after each frame."""


def draw_speed(seed: int, least: float, most: float) -> float:
    """Draws a simulated clip's mean speed in m/s, between two.

    Args:
        seed: Of the clip, from which it follows.
        least: Slowest, > 0.
        most: Fastest, at most `simulation.weld.FASTEST`.

    Raises:
        InspectionError: The bounds are out of theirs, or the wrong way round.
    """
    if not 0 < least <= most <= FASTEST:
        raise InspectionError(
            f"speeds from {least} to {most} m/s: give the slowest first, above 0, and none above "
            f"{FASTEST}"
        )
    return round(float(np.random.default_rng([seed, 61]).uniform(least, most)), 4)


@dataclass(frozen=True, slots=True)
class SimulatedPlan:
    """A clip of the simulated weld.

    Attributes:
        name: Name of the clip.
        seed: Seed of weld and camera.
        rig: Name of the rig.
        frame_count: Number of frames.
        defects_per_metre: Density of planted defects; None for the rig's own.
        classes: Codes in ISO 6520-1 of the only classes to plant; none for all.
        speed: Mean speed along the seam, m/s; None for the rig's own.
    """

    name: str
    seed: int
    rig: str
    frame_count: int
    defects_per_metre: float | None = None
    classes: tuple[str, ...] = ()
    speed: float | None = None

    @property
    def source(self) -> dict[str, Any]:
        """See `ClipMetadata.source`."""
        source: dict[str, Any] = {
            "kind": "simulated",
            "simulation": SIMULATION_VERSION,
            "seed": self.seed,
            "rig": self.rig,
        }
        if self.defects_per_metre is not None:
            source["defects_per_metre"] = self.defects_per_metre
        if self.classes:
            source["classes"] = list(self.classes)
        if self.speed is not None:
            source["speed"] = self.speed
        return source

    def make(self, folder: Path, store: ClipStore, advance: Callable[[], None]) -> None:
        """See `ClipPlan.make`."""
        weld = SimulatedWeld(
            self.seed,
            rig=self.rig,
            duration=self.frame_count / FRAME_RATE,
            frame_rate=FRAME_RATE,
            defects_per_metre=self.defects_per_metre,
            classes=self.classes,
            speed=self.speed,
        )
        with ClipWriter(
            folder,
            width=store.width,
            height=store.height,
            frame_rate=FRAME_RATE,
            source=self.source,
            defects=[ClipDefect(d.code, d.name, d.start, d.end) for d in weld.defects],
            codec=store.codec,
        ) as writer:
            for k in range(self.frame_count):
                image, mask = weld.frame(k)
                writer.add(image, mask, weld.position(k / FRAME_RATE))
                advance()


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of the camera over one photograph.

    Attributes:
        photograph: The photograph and its mask.
        seed: Seed of the path and of the effects.
        rig: Name of the rig whose vibration and light are used.
        frame_count: Number of frames.
    """

    photograph: Photograph
    seed: int
    rig: str
    frame_count: int


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """A clip of one or more passages over photographs, one after another.

    Attributes:
        name: Name of the clip.
        licence: Licence of the photographs.
        passages: The passages, in order.
    """

    name: str
    licence: str
    passages: list[Passage] = field(default_factory=list)

    @property
    def frame_count(self) -> int:
        """Number of frames of all passages."""
        return sum(passage.frame_count for passage in self.passages)

    @property
    def source(self) -> dict[str, Any]:
        """See `ClipMetadata.source`."""
        return {
            "kind": "photo",
            "simulation": SIMULATION_VERSION,
            "licence": self.licence,
            "segments": list(self._segments()),
        }

    def make(self, folder: Path, store: ClipStore, advance: Callable[[], None]) -> None:
        """See `ClipPlan.make`."""
        with ClipWriter(
            folder,
            width=store.width,
            height=store.height,
            frame_rate=FRAME_RATE,
            source=self.source,
            codec=store.codec,
        ) as writer:
            for passage in self.passages:
                image, mask = passage.photograph.load()
                camera = PhotoCamera(
                    image,
                    mask,
                    seed=passage.seed,
                    frame_count=passage.frame_count,
                    frame_rate=FRAME_RATE,
                    rig=passage.rig,
                )
                for k in range(passage.frame_count):
                    writer.add(*camera.frame(k))
                    advance()

    def _segments(self) -> Iterator[dict[str, Any]]:
        first = 0
        for passage in self.passages:
            yield {
                "photo": passage.photograph.name,
                "sha256": passage.photograph.digest(),
                "seed": passage.seed,
                "rig": passage.rig,
                "first_frame": first,
                "frame_count": passage.frame_count,
            }
            first += passage.frame_count
