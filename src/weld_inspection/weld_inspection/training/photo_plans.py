"""Plans the clips that are made from a folder of photographs."""

import hashlib
import math
from collections.abc import Sequence

from weld_inspection.training.clip_metadata import ClipError
from weld_inspection.training.clip_plans import FRAME_RATE, Passage, PhotoPlan
from weld_inspection.training.photo_split import split_names
from weld_inspection.training.photographs import Photograph

SUBSETS = ("train", "held_aside", "all")


def choose_subset(photographs: Sequence[Photograph], split: float, subset: str) -> list[Photograph]:
    """Returns the photographs of one side of the split, or all.

    Raises:
        ClipError: The split or the subset is out of bounds, or a side would be empty.
    """
    if subset not in SUBSETS:
        raise ClipError(f"unknown subset {subset!r}: choose one of {', '.join(SUBSETS)}")
    if subset == "all":
        return list(photographs)
    train, held_aside = split_names([photograph.name for photograph in photographs], split)
    chosen = set(train if subset == "train" else held_aside)
    if not chosen:
        raise ClipError(f"a split of {split:g} holds nothing aside: give one above 0")
    return [photograph for photograph in photographs if photograph.name in chosen]


def passage_seed(seed: int, name: str, passage: int) -> int:
    """Returns the seed of a passage: its own for each photograph, whichever others there are."""
    digest = hashlib.sha256(f"{seed}/{name}/{passage}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def plan_clips(
    photographs: Sequence[Photograph],
    *,
    passages: int,
    frame_count: int,
    seed: int,
    rig: str,
    licence: str,
) -> list[PhotoPlan]:
    """Plans `passages` clips for each photograph."""
    return [
        PhotoPlan(
            f"photo_{photograph.path.stem}_{number}",
            licence,
            [Passage(photograph, passage_seed(seed, photograph.name, number), rig, frame_count)],
        )
        for photograph in photographs
        for number in range(passages)
    ]


def plan_video(
    photographs: Sequence[Photograph],
    *,
    duration: float,
    frame_count: int,
    seed: int,
    rig: str,
    licence: str,
) -> PhotoPlan:
    """Plans one long clip that travels over photographs one after another.

    Args:
        photographs: In this order; begun again, with other seeds, if they end too early.
        duration: Least length, s; passages are never cut short. 0 for each photograph once.
        frame_count: Frames of one passage.
        seed: See `passage_seed`.
        rig: Name of the rig.
        licence: Licence of the photographs.
    """
    count = len(photographs)
    if duration > 0:
        count = math.ceil(duration * FRAME_RATE / frame_count)
    passages = []
    for index in range(count):
        number, place = divmod(index, len(photographs))
        photograph = photographs[place]
        passages.append(
            Passage(photograph, passage_seed(seed, photograph.name, number), rig, frame_count)
        )
    return PhotoPlan("video", licence, passages)
