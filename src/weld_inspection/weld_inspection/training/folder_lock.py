"""One process at work in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weld_inspection.errors import InspectionError


@contextmanager
def hold_folder(folder: Path, refusal: InspectionError) -> Iterator[None]:
    """Keeps other processes that would hold a folder out of it; a process that dies lets go.

    Args:
        folder: Must be there.
        refusal: Is raised where another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise refusal from error
        yield
    finally:
        os.close(handle)
