"""The planted defects: which, where along the seam, and what they look like."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import numpy as np

from weld_inspection.errors import InspectionError
from weld_inspection.simulation.cavities import paint_burn_through, paint_crack, paint_pores
from weld_inspection.simulation.patch import Patch
from weld_inspection.simulation.seam import Seam
from weld_inspection.simulation.surface import METRES_PER_PIXEL
from weld_inspection.simulation.toes import (
    paint_lack_of_fill,
    paint_overlap,
    paint_spatter,
    paint_undercut,
)

Painter = Callable[[Seam, float, np.random.Generator], Patch]

# Code and name by ISO 6520-1, painter, and how often it is planted.
_KINDS: tuple[tuple[str, str, Painter, float], ...] = (
    ("2017", "surface pore", partial(paint_pores, cluster=False), 1.0),
    ("2013", "clustered porosity", partial(paint_pores, cluster=True), 1.0),
    ("101", "longitudinal crack", partial(paint_crack, transverse=False), 0.9),
    ("102", "transverse crack", partial(paint_crack, transverse=True), 0.5),
    ("501", "undercut", paint_undercut, 1.0),
    ("506", "overlap", paint_overlap, 1.0),
    ("510", "burn-through", paint_burn_through, 1.0),
    ("511", "incompletely filled groove", paint_lack_of_fill, 1.0),
    ("602", "spatter", paint_spatter, 1.0),
)
ISO_6520_NAMES: dict[str, str] = {code: name for code, name, _, _ in _KINDS}
_PAINTERS: dict[str, Painter] = {code: painter for code, _, painter, _ in _KINDS}


@dataclass(frozen=True, slots=True)
class PlantedDefect:
    """One defect of a simulated seam.

    Attributes:
        code: Number of its class in ISO 6520-1, as "2017".
        name: Name of that class.
        start: Where its mask begins, metres along the seam.
        end: Where its mask ends, metres along the seam.
        area: Pixels of its mask at 37.5 um a pixel.
        place: Place of its middle in metres along the seam, from which it was drawn.
        seed: Number from which its shape follows.
    """

    code: str
    name: str
    start: float
    end: float
    area: int
    place: float
    seed: tuple[int, int, int]

    def patch(self, seam: Seam) -> Patch:
        """Computes the defect's changes to the surface.

        Args:
            seam: The seam that it was planted in.

        Returns:
            The patch; always the same one.
        """
        rng = np.random.default_rng(self.seed)
        return _PAINTERS[self.code](seam, self.place / METRES_PER_PIXEL, rng)


def check_classes(classes: Collection[str]) -> None:
    """Checks that each class can be planted.

    Args:
        classes: Their codes in ISO 6520-1.

    Raises:
        InspectionError: One cannot.
    """
    unknown = [code for code in classes if code not in ISO_6520_NAMES]
    if unknown:
        known = ", ".join(f"{code} {name}" for code, name in ISO_6520_NAMES.items())
        raise InspectionError(
            f"no defect of class {', '.join(unknown)} can be planted: choose of {known}"
        )


def plant_defects(
    seam: Seam,
    seed: int,
    start: float,
    end: float,
    per_metre: float,
    spacing: float,
    classes: Collection[str] = (),
) -> list[PlantedDefect]:
    """Chooses defects along a seam.

    The classes come in shuffled rounds, so that even a short seam shows many of them.

    Args:
        seam: The seam.
        seed: Any non-negative integer.
        start: First place for a defect's middle, metres.
        end: Last place for a defect's middle, metres.
        per_metre: Mean number of defects a metre, >= 0.
        spacing: Least distance between the middles of two defects, metres.
        classes: Codes of the only classes to plant, see `check_classes`; none for all.

    Returns:
        The defects by their place.
    """
    length = end - start
    if per_metre <= 0 or length <= 0:
        return []
    rng = np.random.default_rng([seed, 40])
    # No more than fit; the slack between them is shared out at random.
    count = min(max(round(length * per_metre), 1), int(length / spacing) + 1)
    slack = length - (count - 1) * spacing
    places = start + np.sort(rng.uniform(0, slack, count)) + spacing * np.arange(count)
    weights = np.array([weight for *_, weight in _KINDS])
    codes: list[str] = []
    while len(codes) < count:
        order = rng.permutation(len(_KINDS))
        drawn = [_KINDS[i][0] for i in order if rng.random() < weights[i]]
        codes += [code for code in drawn if not classes or code in classes]
    defects = []
    for number, (place, code) in enumerate(zip(places, codes, strict=False)):
        draft = PlantedDefect(
            code, ISO_6520_NAMES[code], 0.0, 0.0, 0, float(place), (seed, 41, number)
        )
        patch = draft.patch(seam)
        columns = patch.x0 + np.flatnonzero(patch.mask.any(axis=0))
        defects.append(
            PlantedDefect(
                code=code,
                name=draft.name,
                start=float((columns[0] - 0.5) * METRES_PER_PIXEL),
                end=float((columns[-1] + 0.5) * METRES_PER_PIXEL),
                area=int(np.count_nonzero(patch.mask)),
                place=draft.place,
                seed=draft.seed,
            )
        )
    return defects
