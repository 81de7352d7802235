"""The split of photographs into those to learn from and those held aside."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePath

from weld_inspection.training.clip_metadata import ClipError


def split_names(names: Iterable[str], fraction: float) -> tuple[list[str], list[str]]:
    """Splits photographs by a hash of their names, never by frame.

    A photograph's side depends on its own name alone, so it never changes sides when others are
    added or removed, nor with a seed. Names that differ only by a letter after their number, as
    `104` and `104b`, are views of one seam and stay together.

    Limit: other photographs may show one seam from two angles without a sign of it in their
    names, so a few seams can stand on both sides; scores on photographs held aside are then a
    little too good.

    Args:
        names: File names or paths; folder and ending are ignored.
        fraction: Share to hold aside, 0 to below 1; what comes out is about that.

    Returns:
        Sorted names to train on, and sorted names held aside.

    Raises:
        ClipError: The fraction is out of bounds, or one side of a split would be empty.
    """
    if not 0.0 <= fraction < 1.0:
        raise ClipError(f"the split must be 0 or more and below 1, not {fraction}")
    ordered = sorted(set(names))
    held_aside = [name for name in ordered if _place(name) < fraction]
    train = [name for name in ordered if _place(name) >= fraction]
    if fraction > 0 and not (held_aside and train):
        raise ClipError(
            f"a split of {fraction:g} leaves one side of {len(ordered)} photographs empty: "
            "give more photographs or another fraction"
        )
    return train, held_aside


def _place(name: str) -> float:
    """Returns a number in [0, 1) drawn from the name."""
    stem = PurePath(name).stem
    seam = re.sub(r"(?<=\d)[a-z]$", "", stem)
    digest = hashlib.sha256(seam.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
