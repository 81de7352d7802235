"""Names of bags: time in UTC, weld, sequence number."""

import re
from datetime import UTC, datetime
from pathlib import Path

from weld_inspection.recording.bag_file import PARTIAL_FOLDER

UNKNOWN_WELD = "no-weld-id"
MAX_WELD_LENGTH = 40
_SEQUENCE = re.compile(r"_(\d{4,})(-salvaged)?$")


def bag_name(time_ns: int, weld_id: str, sequence: int) -> str:
    """Names a bag.

    Args:
        time_ns: Arrival of its first message in nanoseconds since 1970.
        weld_id: Of the weld; what does not suit a file name becomes a hyphen.
        sequence: Number of the bag in its folder.

    Returns:
        Such as `20250314T092653Z_W17_0042`.
    """
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, tz=UTC)
    weld = re.sub(r"[^A-Za-z0-9.]+", "-", weld_id).strip("-.")[:MAX_WELD_LENGTH]
    return f"{time:%Y%m%dT%H%M%SZ}_{weld or UNKNOWN_WELD}_{sequence:04d}"


def next_sequence(folder: Path) -> int:
    """The number after the highest of the bags in a folder, finished or not."""
    highest = 0
    for place in (folder, folder / PARTIAL_FOLDER):
        for path in place.iterdir() if place.is_dir() else ():
            match = _SEQUENCE.search(path.name)
            highest = max(highest, int(match.group(1)) if match else 0)
    return highest + 1
