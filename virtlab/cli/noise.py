"""Keeps what C++ libraries write to stderr off the progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def without_library_noise() -> Iterator[None]:
    """Give file descriptor 2 to nobody; Python's own ``sys.stderr`` goes on as before.

    TensorFlow logs a dozen lines while it is imported, whatever its settings say, and LiteRT
    some: straight to the descriptor, across a progress bar. A stderr that is not the process's
    own (tests, notebooks) is left alone.
    """
    if not _is_own_stderr():
        yield
        return
    kept = sys.stderr
    kept.flush()
    saved = os.dup(STDERR)
    with open(saved, "w", buffering=1, encoding=kept.encoding) as stderr:  # noqa: PTH123
        sys.stderr = stderr
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr = kept
            os.dup2(saved, STDERR)


def _is_own_stderr() -> bool:
    try:
        return sys.stderr.fileno() == STDERR
    except (OSError, ValueError, AttributeError):
        return False
