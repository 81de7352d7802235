"""Memory of the process."""

import ctypes
import gc

LARGEST_IN_HEAP = 32 * 2**20
"""Bytes of the largest block to come from the heap; more is not to be had from mallopt."""

KEPT_FREE = 9_000_000
"""Bytes that may lie free at a heap's end before it shrinks: three images of 1280x720."""

M_TRIM_THRESHOLD = -1  # malloc.h
M_MMAP_THRESHOLD = -3


def keep_images_in_heap() -> None:
    """Lets an image have the memory of an earlier one instead of fresh pages of the system.

    By itself the C library gives blocks of some megabytes back when they are freed, or the heap's
    end once that much of it is free: a fault for each page of each image, which is a tenth of a
    core at 20 of 1280x720 a second. Where there is no mallopt, nothing is done.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGEST_IN_HEAP)
        set_option(M_TRIM_THRESHOLD, KEPT_FREE)


def give_back_memory() -> None:
    """Gives what the heap has free back to the system.

    The C library keeps what was freed, for allocations to come: after a burst of large ones a
    process stays as large as it was at its largest. Where there is no malloc_trim, which is
    glibc's, nothing is done.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def leave_out_of_collection() -> None:
    """Lets Python's collector look no more at what there is now, until `collect_all_again`.

    A full collection looks at every object, of which loading torch and OpenVINO leaves hundreds of
    thousands; meanwhile all threads stand still.
    """
    gc.collect()
    gc.freeze()


def collect_all_again() -> None:
    """Lets the collector look at everything, as something may go now."""
    gc.unfreeze()
