"""Memory of the process."""

import ctypes


def give_back_memory() -> None:
    """Gives what the heap has free back to the system.

    The C library keeps what was freed, for allocations to come: after a burst of large ones a
    process stays as large as it was at its largest. Where there is no malloc_trim, which is
    glibc's, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
