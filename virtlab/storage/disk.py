"""Files that are written with an eye on the disk behind them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

AHEAD = 2**24
"""Bytes that are handed over to the disk together."""


class Disk:
    """A file that HDF5 writes to: after an error it takes, and forgets, whatever comes.

    Parameters
    ----------
    path
        A new file.
    """

    def __init__(self, path: Path) -> None:
        # 0o666 and O_EXCL: the user's umask decides, and nobody else's file is written
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        self._written = 0  # bytes since the disk was last asked to begin
        self.error: OSError | None = None

    def readinto(self, buffer: memoryview) -> int:
        """Read; what is missing after an error is zeros."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        if count < len(view):
            view[count:] = bytes(len(view) - count)
        return len(view)

    def write(self, data: Any) -> int:
        """Write all of it."""
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.error = error
        self._written += done
        if self._written >= AHEAD:
            hand_over(self._file.fileno())
            self._written = 0
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Set the length."""
        if self.error is None:
            try:
                self._file.truncate(size)
            except OSError as error:
                self.error = error
        return self._file.tell() if size is None else size

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self, *, keep: bool) -> None:
        """Close; with `keep`, have it on the disk.

        Raises
        ------
        OSError
            The first that was met.
        """
        if self._file.closed:
            return
        with self._file:
            if keep and self.error is None:
                os.fsync(self._file.fileno())
        if keep and self.error is not None:
            raise self.error


def hand_over(handle: int) -> None:
    """Have the disk begin to write what it was given, and the memory that held it used again.

    Otherwise the system begins when gigabytes wait, and the end waits for these; and pages of
    memory that were never used before take longer to get than to fill.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):  # it is advice, and not every file system takes any
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)


def sync(path: Path) -> None:
    """Have a file or a folder's entries on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
