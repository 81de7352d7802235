"""One process at work in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weld_inspection.errors import InspectionError

_held: set[int] = set()  # descriptors of this process


def _let_go() -> None:
    """Lets a forked child, such as one that reads clips, not hold its parent's folders."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


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
        _held.add(handle)
        yield
    finally:
        _held.discard(handle)
        os.close(handle)
