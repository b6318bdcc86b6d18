"""How the C library keeps memory: what one region's arrays leave is the next one's.

By its defaults it gives large arrays back to the system, and asking for them anew takes up to half
of the time of drawing scalars: glibc's are set, others are left alone.
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

ARRAY: Final = 2**25
"""Bytes from which an array is given back as soon as it is free."""
FREE: Final = 2**28
"""Bytes that are kept free."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h

ENVIRONMENT = {"MALLOC_TRIM_THRESHOLD_": FREE, "MALLOC_MMAP_THRESHOLD_": ARRAY}
"""The same for a process that is yet to be started."""


def keep_memory() -> None:
    """Have this process keep what it frees."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, FREE)
        library.mallopt(_MMAP_THRESHOLD, ARRAY)
