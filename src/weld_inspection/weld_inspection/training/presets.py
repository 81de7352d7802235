"""Data sets of fixed size and seeds, so that two people have the same."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weld_inspection.training.clip_plans import ClipPlan, ClipStore, SimulatedPlan
from weld_inspection.training.clips import ClipError
from weld_inspection.training.data_set import DATASET_NAME, clip_digest
from weld_inspection.training.dataset_builder import build_dataset, is_made
from weld_inspection.training.photo_plans import choose_subset, plan_clips
from weld_inspection.training.photographs import Photograph

VALIDATION_SPLIT = 0.2  # of the photographs
TUNE_SPLIT = 0.3  # with those of the validation
PHOTO_FRAMES = 60  # of a passage over a photograph
STORE = ClipStore()
USUAL_RATIO = (20, 45)  # sound pixels to a defect one


@dataclass(frozen=True, slots=True)
class Part:
    """One folder of simulated clips.

    Attributes:
        rig: Rig of the simulated camera.
        first_seed: Of the first clip; the next one more.
        clips: Number of clips.
        frames: Of all clips together; the first ones are a frame longer where they do not divide.
        defects_per_metre: Density of planted defects; None for the rig's own.
    """

    rig: str
    first_seed: int
    clips: int
    frames: int
    defects_per_metre: float | None = None

    def plans(self) -> list[SimulatedPlan]:
        """Returns the clips."""
        frames, longer = divmod(self.frames, self.clips)
        return [
            SimulatedPlan(
                f"{self.rig}_{self.first_seed + number:06d}",
                self.first_seed + number,
                self.rig,
                frames + (number < longer),
                self.defects_per_metre,
            )
            for number in range(self.clips)
        ]


# The automatic rig's own density is that of a machine that welds well; at this one about one pixel
# in thirty is defect, as in the paper's validation set.
VALIDATION_DENSITY = 34.0

# Trained on the rig that is pushed by hand, validated on the one of the machine, as in the paper;
# `tune` is held aside from training, for thresholds.
PRESETS = {
    # For tests.
    "tiny": {
        "train": Part("manual", 500_000, 2, 120),
        "tune": Part("manual", 510_000, 1, 60),
        "validation": Part("automatic", 520_000, 1, 100, VALIDATION_DENSITY),
    },
    # For two cores.
    "small": {
        "train": Part("manual", 1_000, 90, 9_000),
        "tune": Part("manual", 1_200, 24, 2_400),
        "validation": Part("automatic", 530_000, 14, 2_800, VALIDATION_DENSITY),
    },
    # The size of the paper's: 310 clips, 75 420 frames, 80/20.
    "paper": {
        "train": Part("manual", 100_000, 224, 54_500),
        "tune": Part("manual", 110_000, 24, 5_836),
        "validation": Part("automatic", 120_000, 62, 15_084, VALIDATION_DENSITY),
    },
}

# What `clips_digest` gives of each part: first on a processor with AVX-512, then on one without,
# where NumPy rounds a few values otherwise and now and then a pixel.
PUBLISHED_OPENCV = "4.11.0"
# The photographs in results/README.md, with the licence that it gives; the same in every preset.
PHOTOS = {
    "photos_train": ("a4af06f810e785b95d1963f62e198f59e2b1155280ea8b33f489569df99cdaee",),
    "photos_tune": ("d1d1df5434ea9fb263bedb76a7a0cd3a6cd25861f6dc7cc769448e1d8a4da559",),
    "photos_validation": ("8ea63c5898fb0237b45c2043890d1126f60588dfd157a06b73ffe32af390feb0",),
}
PUBLISHED: dict[str, dict[str, tuple[str, ...]]] = {
    "tiny": {
        "train": (
            "e37a336d699e78f6cd4c7a1f38779c03d873e5acf590c10b02e6b84444b20f8a",
            "b7d75ec01debba7b68b83a52beb32d7dc9eb6adcee23da9a5cb088235d12b40b",
        ),
        "tune": ("b2994b55acf48519e651d66eb623b0908f04a30c2251e42f771011429a419315",),
        "validation": ("f490dd7f74df8ea1138175eb7c1ca165026d7f81bcf1c6e6f49d424367012688",),
    },
    "small": PHOTOS
    | {
        "train": ("16c0f5c1fb25bd13a95835a4342b4ecd2ff6b304446511d865e51a3d333d43ec",),
        "tune": ("daace4f44765f92e1d55fd1b1ebe1a0d5119a85802e2c3964b0cae7e5a1f93b6",),
        "validation": ("3998107bd4b1d55d0ad21d8985bd0ec98df14c46b99b99dc810141efdc2e3b3a",),
    },
    "paper": PHOTOS,
}


def build_preset(
    out: Path,
    preset: str,
    *,
    photographs: Sequence[Photograph] = (),
    licence: str = "not stated",
    workers: int = 1,
    advance: Callable[[int], None] = lambda frames: None,
) -> dict[str, dict[str, Any]]:
    """Makes a preset's folders below `out`; those that are complete are kept.

    Args:
        out: Folder.
        preset: Name in PRESETS.
        photographs: If given, OUT/photos_train, photos_tune and photos_validation as well.
        licence: Of the photographs.
        workers: Processes that render.
        advance: Called with the number of frames made, or found made, since the last call.

    Returns:
        The contents of each folder's `dataset.json`, by its name.

    Raises:
        ClipError: A folder holds something else, or cannot be written.
    """
    summaries = {}
    for name, plans in plan_preset(preset, photographs, licence).items():
        folder = out / name
        request = {"preset": preset, "part": name}
        found = _finished(folder, request, plans)
        if found is None:
            summaries[name] = build_dataset(
                folder, plans, STORE, request=request, workers=workers, advance=advance
            )
        else:
            advance(found["frame_count"])
            summaries[name] = found
    return summaries


def plan_preset(
    preset: str, photographs: Sequence[Photograph], licence: str
) -> dict[str, Sequence[ClipPlan]]:
    """Returns the clips of each folder of a preset.

    Raises:
        ClipError: There are too few photographs for a folder to have one.
    """
    plans: dict[str, Sequence[ClipPlan]] = {
        name: part.plans() for name, part in PRESETS[preset].items()
    }
    if photographs:
        validation = choose_subset(photographs, VALIDATION_SPLIT, "held_aside")
        aside = choose_subset(photographs, TUNE_SPLIT, "held_aside")
        sides = {
            "photos_train": (choose_subset(photographs, TUNE_SPLIT, "train"), "manual"),
            "photos_tune": ([item for item in aside if item not in validation], "manual"),
            "photos_validation": (validation, "automatic"),
        }
        for name, (chosen, rig) in sides.items():
            if not chosen:
                raise ClipError(
                    f"the names of these {len(photographs)} photographs put none into {name}: "
                    "give more photographs, or leave --photos out"
                )
            plans[name] = plan_clips(
                chosen, passages=1, frame_count=PHOTO_FRAMES, seed=0, rig=rig, licence=licence
            )
    return plans


def sound_pixels_to_a_defect_one(summaries: Sequence[dict[str, Any]]) -> float:
    """Returns the ratio over all frames of some data sets."""
    frames = sum(summary["frame_count"] for summary in summaries)
    defects = sum(summary["defect_pixel_ratio"] * summary["frame_count"] for summary in summaries)
    return (frames - defects) / defects if defects else float("inf")


def clips_digest(summary: dict[str, Any]) -> str:
    """Returns the SHA-256 of a data set's clips, whatever else its `dataset.json` says."""
    digests = "".join(clip["sha256"] for clip in summary["clips"])
    return hashlib.sha256(digests.encode()).hexdigest()


def remarks(preset: str, part: str, summary: dict[str, Any]) -> list[str]:
    """Says whether a part is the one that everyone has, and warns where it is not as it should be.

    Args:
        preset: Name in PRESETS.
        part: Name of the part.
        summary: The contents of its `dataset.json`.
    """
    lines = []
    published = PUBLISHED.get(preset, {}).get(part)
    if published and clips_digest(summary) in published:
        lines.append("the published set")
    elif published and part not in PRESETS[preset]:
        lines.append(
            "not the published set: other photographs or copies of them, another --licence, "
            "processor or version of OpenCV"
        )
    elif published:
        cause = "another processor, or another version of this package"
        if summary["opencv"] != PUBLISHED_OPENCV:
            cause = f"OpenCV {summary['opencv']} instead of {PUBLISHED_OPENCV}"
        lines.append(f"warning: not the published set, likely because of {cause}")
    ratio = sound_pixels_to_a_defect_one([summary])
    least, most = USUAL_RATIO
    if preset != "tiny" and part in PRESETS[preset] and not least <= ratio <= most:
        lines.append(
            f"warning: {ratio:.0f} sound pixels to a defect one, not about 30 as in the paper"
        )
    return lines


def _finished(
    folder: Path, request: dict[str, Any], plans: Sequence[ClipPlan]
) -> dict[str, Any] | None:
    """The contents of a complete folder's `dataset.json`; None where it is still to be made."""
    file = folder / DATASET_NAME
    if not file.is_file():
        return None
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClipError(f"{file} cannot be read: remove {folder} to make it again") from error
    clips = summary.get("clips", [])
    if (
        any(summary.get(key) != value for key, value in request.items())
        or [clip.get("name") for clip in clips] != [plan.name for plan in plans]
        or not all(is_made(folder / plan.name, plan, STORE) for plan in plans)
        or any(clip_digest(folder / clip["name"]) != clip.get("sha256") for clip in clips)
    ):
        raise ClipError(
            f"{folder} holds another data set, or one of an earlier version: remove it or give "
            "another --out"
        )
    return summary
