"""Writes virtual trials to a Zarr v3 store that can be gone on with after an interruption.

A store that is being written stands beside its place as ``NAME.unfinished`` and is renamed when it
is whole; where nothing can be renamed (a URL) it stands in its place. The root attribute `COMPLETE`
comes last. A shard is there whole or not at all, and drawn again it has the same bytes: so who goes
on draws only those that are missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from virtlab.errors import OutputError
from virtlab.storage.disk import sync
from virtlab.storage.occupant import ROOT, check_replaceable, check_url
from virtlab.storage.places import Folder, Place, place_at
from virtlab.storage.shards import encode, shard_keys, skeleton
from virtlab.storage.template import Region, Template

COMPLETE = "complete"
"""Root attribute of a Zarr store, written last: a store without it is unfinished."""


AT_ONCE = 8
"""Files that are written at once: who waits for a disk or a network needs no core."""


def unfinished(path: Path) -> Path:
    """Where a store stands while it is being written."""
    return path.with_name(f"{path.name}.unfinished")


class ZarrWriter:
    """A Zarr store that says of itself when it is whole; see `virtlab.storage.output.Writer`.

    Parameters
    ----------
    target
        Where it will be: a path, or a URL.
    template
        What it will hold.
    resume
        Go on with what an interrupted run left, and leave what is done if this one is, too.
    anew
        Remove what an interrupted run left.

    Raises
    ------
    OutputError
        An interrupted run of other trials, or of unknown fate, stands there; or, behind a URL,
        what may not be replaced.
    """

    def __init__(self, target: Path | str, template: Template, *, resume: bool, anew: bool) -> None:
        self._target, self._template, self._resume = target, template, resume
        path = unfinished(target) if isinstance(target, Path) else None
        self.where = str(path or target)
        self.place: Place = place_at(self.where)
        self._handle = -1
        self._writing = ThreadPoolExecutor(AT_ONCE)
        if path is not None:
            if path.exists() and not (resume or anew):
                raise OutputError(
                    f"{path}: left by an interrupted run; --resume goes on with it, "
                    "--force begins anew"
                )
            self._handle = Folder(path).lock()
        elif self.place.exists():
            check_url(self.where, self.place.read(ROOT), force=resume or anew)
        try:
            self._begin()
        except OutputError:
            self._unlock()  # what stands there is not ours to remove
            raise
        except BaseException:
            self.abort()
            raise

    def _begin(self) -> None:
        files = skeleton(self._template)
        self._goes_on = self._resume and self._begun(files)
        if not self._goes_on:
            self.place.clear()
            for key, content in files.items():
                self.place.write(key, content)
        self._root = files[ROOT]

    def _begun(self, files: Mapping[str, bytes]) -> bool:
        """Whether a run of the same trials has begun here."""
        if self.place.read(ROOT) is None:
            return False
        for key, content in files.items():
            found = self.place.read(key)
            # It may have been killed when all was done, but the store not yet in its place.
            if found != content and not (key == ROOT and found == _completed(content)):
                raise OutputError(
                    f"{self.where}: left by a run of other trials ({key} differs: another model, "
                    "params.toml, seed, number of trials or version of virtlab); --force begins "
                    "anew"
                )
        return True

    def holds(self, region: Region) -> bool:
        """Whether a region is there already."""
        keys = shard_keys(self._template, region).values()
        return self._goes_on and all(self.place.size(key) for key in keys)

    def pack(self, region: Region, values: Mapping[str, NDArray[Any]]) -> list[Future[None]]:
        """Encode a region's shards, and have them written: files of their own."""
        return write_region(self._writing, self.place, self._template, region, values)

    def write(self, packed: list[Future[None]]) -> None:
        """Wait for a region's shards.

        Raises
        ------
        OSError, OutputError
            The disk is full or fails, or the network does.
        """
        for future in packed:
            future.result()

    def commit(self) -> None:
        """Mark the store complete and move it into place.

        Raises
        ------
        OSError, OutputError
            The disk is full or fails, or the store is gone.
        """
        self._writing.shutdown()
        if self.place.read(ROOT) is None:
            raise OutputError(f"{self.where}: somebody removed it while it was written; run again")
        self.place.write(ROOT, _completed(self._root))
        if isinstance(self._target, Path):
            partial = Folder(unfinished(self._target))
            partial.tidy()
            with _moved_aside(self._target):
                partial.path.rename(self._target)
            sync(self._target.parent)
        self._unlock()

    def abort(self) -> None:
        """Leave nothing behind, or, where it was asked for, what can be gone on with."""
        self._writing.shutdown(cancel_futures=True)
        if not self._resume:
            self.place.remove()
        elif isinstance(self.place, Folder):
            self.place.tidy()
        self._unlock()

    def _unlock(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def write_region(
    pool: Executor,
    place: Place,
    template: Template,
    region: Region,
    values: Mapping[str, NDArray[Any]],
) -> list[Future[None]]:
    """Encode a region's shards; the pool writes one while the next is encoded."""
    return [
        pool.submit(place.write, key, encode(template, name, values[name]))
        for name, key in shard_keys(template, region).items()
    ]


def _completed(root: bytes) -> bytes:
    """Root metadata with the marker, in the form that zarr writes."""
    found = json.loads(root)
    found["attributes"][COMPLETE] = 1
    return json.dumps(found, indent=2).encode()


@contextlib.contextmanager
def _moved_aside(path: Path) -> Iterator[None]:
    """Have an old store out of the way; delete it on success, put it back on failure."""
    if not path.exists():
        yield
        return
    check_replaceable(path)  # again: the work between may have taken hours
    aside = path.with_name(f".{path.name}.old-{secrets.token_hex(4)}")
    path.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(path)
        raise
    shutil.rmtree(aside, ignore_errors=True)
