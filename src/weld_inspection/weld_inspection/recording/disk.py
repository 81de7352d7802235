"""How much the recorder may take of the disk.

Evidence is never deleted to make room. When the budget is used up, the open bag is closed with what
it has, no other is begun, and the reason is said until somebody has made room; the next event is
recorded again.
"""

import os
import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from weld_inspection.recording.errors import RecordingError


class DiskBudget:
    """Watches the output folder and the disk under it."""

    def __init__(self, folder: Path, min_free_bytes: int, max_total_bytes: int) -> None:
        """Creates the folder where needed and measures what is in it.

        Args:
            folder: The output folder.
            min_free_bytes: Free space that is left to others.
            max_total_bytes: Most that the folder may hold; 0 for no limit.

        Raises:
            RecordingError: The folder cannot be created or written.
        """
        self._folder = folder
        self._min_free = min_free_bytes
        self._max_total = max_total_bytes
        self._closed_bytes = 0
        _check_writable(folder)
        self.measure()

    def allow(self, min_free_bytes: int, max_total_bytes: int) -> None:
        """Changes the limits."""
        self._min_free = min_free_bytes
        self._max_total = max_total_bytes

    @property
    def bytes_free(self) -> int:
        """Free space for this user; 0 where the folder is gone."""
        try:
            return shutil.disk_usage(self._folder).free
        except OSError:
            return 0

    @property
    def bytes_used(self) -> int:
        """What the folder held when it was measured."""
        return self._closed_bytes

    def measure(self, being_written: Collection[Path] = ()) -> None:
        """Adds up what is in the folder.

        Args:
            being_written: Folders of the open bags, which are left out.
        """
        self._closed_bytes = folder_size(self._folder, being_written)

    def refusal(self, open_bytes: int = 0, needed_bytes: int = 0) -> str:
        """Says why no more may be written.

        Args:
            open_bytes: Bytes in bags that are being written.
            needed_bytes: Bytes that are to be written at once.

        Returns:
            The reason and what to do, empty where writing may go on.
        """
        if not os.path.isdir(self._folder):  # Path.is_dir raises where a disk fails
            return f"the output folder {self._folder} is gone; create it again"
        needed = f", and {_size(needed_bytes)} are needed" if needed_bytes else ""
        free = self.bytes_free
        if free - needed_bytes < self._min_free:
            return (
                f"only {_size(free)} free on the disk of {self._folder}, of which"
                f" {_size(self._min_free)} (min_free_bytes) are left to others{needed}; make room"
            )
        used = self._closed_bytes + open_bytes
        if self._max_total and used + needed_bytes >= self._max_total:
            return (
                f"{self._folder} holds {_size(used)}, its limit (max_total_bytes) is"
                f" {_size(self._max_total)}{needed}; move bags away or raise the limit"
            )
        return ""


def folder_size(folder: Path, without: Collection[Path] = ()) -> int:
    """Adds up the sizes of the files in a folder.

    Args:
        folder: The folder.
        without: Folders below it that are left out.

    Returns:
        Bytes; 0 where the folder is gone.
    """
    left_out = {str(path) for path in without}
    total = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) not in left_out]
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue  # taken away meanwhile
    return total


def _check_writable(folder: Path) -> None:
    """Writes and removes a small file, which tells more than permission bits do."""
    probe = folder / f".probe-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordingError(
            f"cannot write to the output folder {folder}: {reason}; choose another output_dir or"
            " change its permissions"
        ) from error


def _size(count: int) -> str:
    """A number of bytes for a person."""
    if count >= 10**9:
        return f"{count / 10**9:.1f} GB"
    return f"{count / 10**6:.1f} MB"
