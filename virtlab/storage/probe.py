"""Lab files walked through in a child process first: damage can crash or hang the HDF5 library.

One flipped byte in a group's index is enough to kill the process that lists the group, so
another one does it before ours. It looks at the structure only, not at values: of mutated files
all those that crashed a full reading crashed this too, and it costs a twentieth.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from virtlab.errors import DataError

if TYPE_CHECKING:
    import h5py

_CHILD = ("-P", "-m", "virtlab.storage.probe")  # -P: no module from the working folder
_MOST_SECONDS = 20  # for one file
_MOST_MEMORY = 8 * 2**30
_MOST_OBJECTS = 20_000  # of one file


def probed(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield each file as soon as a child process has come through it.

    The child is ahead of its caller by as much as it can. Where no child can be started or
    limited, files come through unprobed.

    Raises
    ------
    DataError
        The child crashed in a file or came to no end.
    """
    if os.name != "posix" or not sys.executable:
        yield from paths
        return
    child = subprocess.Popen(
        [sys.executable, *_CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # the sooner it has started
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(json.dumps([_MOST_SECONDS, *map(os.fspath, paths)]).encode())
                child.stdin.close()
            for path in paths:
                if not child.stdout.readline() and child.wait() < 0:
                    raise DataError(f"{path}: {_fate(-child.returncode)}")
                yield path
        finally:
            child.kill()


def _fate(number: int) -> str:
    advice = "the file is damaged; copy it again, or leave it out"
    if number == signal.SIGALRM:
        return f"reading it did not come to an end in {_MOST_SECONDS} s: {advice}"
    return f"reading it crashed the HDF5 library (signal {number}): {advice}"


def _walk_all() -> None:
    """Walk through the files that stdin names, and write a line after each."""
    import resource

    from virtlab.storage.hdf5 import open_lab_file

    seconds, *paths = json.load(sys.stdin)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, _MOST_MEMORY)):
        with contextlib.suppress(ValueError, OSError):  # not every system has each
            resource.setrlimit(limit, (most, resource.getrlimit(limit)[1]))
    for path in paths:
        signal.alarm(seconds)
        # Errors are the parent's to tell: it will meet them too.
        with contextlib.suppress(Exception), open_lab_file(Path(path)) as file:
            _walk(file)
        sys.stdout.write("\n")
        sys.stdout.flush()


def _walk(file: h5py.File) -> None:
    """Open every object that no link to another file leads to, and list what it holds."""
    import h5py

    # Each step by itself: one that fails says nothing about what the next one does.
    attempt = contextlib.suppress(Exception)
    waiting, seen, objects = deque([file["/"]]), set(), 0
    while waiting and objects < _MOST_OBJECTS:
        item = waiting.popleft()
        objects += 1
        with attempt:
            list(item.attrs)
        with attempt:
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
        if not isinstance(item, h5py.Group):
            continue
        with attempt:
            for name in islice(item, max(0, _MOST_OBJECTS - len(waiting))):
                with attempt:
                    if isinstance(item.get(name, getlink=True), h5py.HardLink):
                        waiting.append(item[name])


if __name__ == "__main__":
    _walk_all()
