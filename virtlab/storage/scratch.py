"""Rows of one size in random order, in a file without a name: it is gone when its process is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import OutputError

Records = NDArray[Any]
"""Structured, ``(row,)``."""

SPARE = 64 * 2**20  # bytes of the disk that stay free


class ShuffledRows:
    """Rows in random order.

    Parameters
    ----------
    file
        Holds them one after the other.
    dtype
        Of a row.
    count
        How many there are.
    """

    def __init__(self, file: IO[bytes], dtype: np.dtype[Any], count: int) -> None:
        self._file, self._dtype, self._count = file, dtype, count

    def __len__(self) -> int:
        return self._count

    def read(self, start: int, count: int) -> Records:
        """Rows from `start` on, ``(count,)``; after the last comes the first."""
        found = np.empty(count, self._dtype)
        done = 0
        while done < count:
            here = (start + done) % self._count
            piece = found[done : done + self._count - here]
            self._file.seek(here * self._dtype.itemsize)
            self._file.readinto(piece.view(np.uint8))  # type: ignore[attr-defined]
            done += len(piece)
        return found


@contextmanager
def shuffled(
    parts: Iterable[Records],
    dtype: np.dtype[Any],
    count: int,
    *,
    folder: Path,
    memory: int,
    rng: np.random.Generator,
) -> Iterator[ShuffledRows]:
    """Write rows to a nameless file in an order in which all are equally likely.

    Each row is dealt to a pile at random; each pile is shuffled in memory, and the piles are
    put one on the other.

    Parameters
    ----------
    parts
        The rows, some at a time.
    dtype
        Of a row.
    count
        How many come at most.
    folder
        On whose disk.
    memory
        Bytes that a pile may take, about.
    rng
        Decides the order.

    Raises
    ------
    OutputError
        The disk has no room for them, or cannot be written.
    """
    need = count * dtype.itemsize
    _check_room(folder, need, count, min(need, memory))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with ExitStack() as piles_open:
                piles = [
                    piles_open.enter_context(tempfile.TemporaryFile(dir=folder))
                    for _ in range(max(1, -(-need // max(memory, 1))))
                ]
                written = _pile_up(piles, _dealt(parts, piles, rng), file, dtype, rng)
            file.flush()
        except OSError as error:
            raise OutputError(
                f"{folder}: no scratch space for {count:,} trials: {error.strerror or error}"
            ) from error
        yield ShuffledRows(file, dtype, written)


def _check_room(folder: Path, need: int, count: int, pile: int) -> None:
    free = shutil.disk_usage(folder).free
    if need + pile + SPARE > free:
        raise OutputError(
            f"{folder}: training on {count:,} trials needs {(need + pile) / 1e9:.1f} GB of scratch "
            f"space here while it lasts, found {free / 1e9:.1f} GB free; make room, or choose a "
            "folder on another disk with -o"
        )


def _dealt(
    parts: Iterable[Records], piles: Sequence[IO[bytes]], rng: np.random.Generator
) -> list[int]:
    """Deal all rows to the piles; how many each got."""
    counts = [0] * len(piles)
    for rows in parts:
        where = rng.integers(len(piles), size=len(rows))
        for number, pile in enumerate(piles):
            mine = rows[where == number]
            pile.write(mine.tobytes())
            counts[number] += len(mine)
    return counts


def _pile_up(
    piles: Sequence[IO[bytes]],
    counts: list[int],
    file: IO[bytes],
    dtype: np.dtype[Any],
    rng: np.random.Generator,
) -> int:
    """Shuffle each pile onto the file, and let go of it; how many rows there are."""
    for pile, count in zip(piles, counts, strict=True):
        rows = ShuffledRows(pile, dtype, count).read(0, count)
        pile.close()
        file.write(rows[rng.permutation(count)].tobytes())
    return sum(counts)
