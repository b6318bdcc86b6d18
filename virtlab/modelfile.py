"""The .virtlab file: one zip, readable by hand, checked before anything in it is parsed.

``manifest.json`` says what the model is and lists every other member with its size and
sha256. No pickle, no code: arrays are safetensors, the generator is a LiteRT flatbuffer.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError, OutputError
from virtlab.finite import finite

FORMAT = 1
MANIFEST = "manifest.json"
GENERATOR = "generator.tflite"
WEIGHTS = "weights.safetensors"
REFERENCE = "reference.safetensors"
HELD_OUT = "held_out.safetensors"  # trials and out-of-fold draws, for evaluation
MEMBERS = (GENERATOR, WEIGHTS, REFERENCE, HELD_OUT)

MAX_MANIFEST = 64 * 2**20
MAX_MEMBER = 4 * 2**30
_EPOCH = (1980, 1, 1, 0, 0, 0)  # no clock time: equal models are equal files
# What zipfile raises on damaged data; RuntimeError: "encrypted", or a method it does not know.
_UNREADABLE = (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ModelFile:
    """A model file, opened and checked.

    Parameters
    ----------
    path
        Where it lies.
    digest
        sha256 of the whole file.
    manifest
        What the model is.
    """

    path: Path
    digest: str
    manifest: Mapping[str, Any]

    def member(self, name: str) -> bytes:
        """One member's bytes, checked against the manifest.

        Raises
        ------
        ModelFileError
            The member is missing, damaged or altered.
        """
        listed = self.manifest["members"].get(name)
        if listed is None:
            raise ModelFileError(f"{self.path}: holds no {name}; train the model again")
        try:
            with zipfile.ZipFile(self.path) as archive:
                data = archive.read(name)
        except _UNREADABLE as error:
            raise _damaged(self.path, f"{name} cannot be read ({error})") from error
        if hashlib.sha256(data).hexdigest() != listed["sha256"]:
            raise _damaged(self.path, f"{name} is not the one that was written (sha256 differs)")
        return data

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """One safetensors member as arrays, all finite.

        Raises
        ------
        ModelFileError
            As `member`, or values are not finite.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays: dict[str, NDArray[Any]] = load(self.member(name))
        except SafetensorError as error:
            raise _damaged(self.path, f"{name} is no safetensors file ({error})") from error
        for key, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise _damaged(self.path, f"{name}: {key} has values that are not finite")
        return arrays


def write_model(
    path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes], *, force: bool = False
) -> None:
    """Write a model file whole or not at all.

    Raises
    ------
    OutputError
        It exists already (without `force`), or cannot be written.
    """
    if path.exists() and not force:
        raise OutputError(f"{path} exists; use --force to replace it, or -o for another name")
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    }
    whole = finite({**manifest, "format": FORMAT, "members": listed})
    text = json.dumps(whole, indent=1, sort_keys=True, allow_nan=False)
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = _digest(text.encode())  # the manifest vouches for the rest, this for it
        for name, data in {MANIFEST: text.encode(), **members}.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    replace_whole(path, buffer.getvalue())


def replace_whole(path: Path, data: bytes) -> None:
    """Write beside the destination, then rename: a reader sees the old file or the new one.

    Raises
    ------
    OutputError
        The folder is missing, read-only or full.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        # 0o666 and O_EXCL: the user's umask decides, and nobody else's file is written
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as one safetensors member."""
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_model(path: str | Path) -> ModelFile:
    """Open a model file: its size, names and manifest are checked here, members when read.

    Raises
    ------
    ModelFileError
        It is missing, no model file, damaged, altered, or of a newer format.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():  # a device has no end
        raise ModelFileError(f"{path}: cannot be read: it is no regular file")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelFileError(
            f"{path}: no such file; check the path (`virtlab train` says at its end where it "
            "wrote the model)"
        ) from error
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not zipfile.is_zipfile(BytesIO(data)):
        kind = "is cut short or damaged" if data[:2] == b"PK" else "is not a .virtlab model file"
        raise ModelFileError(f"{path}: {kind}; make one with `virtlab train`")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(path, entries)
            text = archive.read(MANIFEST)
            if archive.comment != _digest(text):
                raise _damaged(path, f"{MANIFEST} is not the one that was written")
            manifest = json.loads(text)
    except (*_UNREADABLE, ValueError) as error:  # RecursionError is a RuntimeError
        raise _damaged(path, str(error)) from error
    _check_manifest(path, manifest, {e.filename: e.file_size for e in entries})
    _restore_numbers(manifest)
    return ModelFile(path, hashlib.sha256(data).hexdigest(), manifest)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _check_entries(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Only the names we write, each once, none too large: before anything is unpacked."""
    names = [entry.filename for entry in entries]
    if MANIFEST not in names:
        raise ModelFileError(f"{path}: a zip without {MANIFEST}, so not a .virtlab model file")
    unknown = sorted(set(names) - {MANIFEST, *MEMBERS})
    if unknown or len(set(names)) < len(names):
        told = ", ".join(repr(name)[:60] for name in (unknown or names)[:5])
        raise _damaged(path, f"unexpected or repeated members: {told}")
    for entry in entries:
        cap = MAX_MANIFEST if entry.filename == MANIFEST else MAX_MEMBER
        if entry.file_size > cap:
            raise _damaged(path, f"{entry.filename} claims {entry.file_size} bytes")


def _check_manifest(path: Path, manifest: Any, sizes: Mapping[str, int]) -> None:
    if not isinstance(manifest, dict) or not isinstance(manifest.get("members"), dict):
        raise _damaged(path, f"{MANIFEST} does not list the members")
    if manifest.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: model format {manifest.get('format')!r}, this virtlab reads {FORMAT}; "
            "install the virtlab that wrote it "
            f"({manifest.get('virtlab', 'version unknown')}): pip install -U virtlab"
        )
    for name, listed in manifest["members"].items():
        known = isinstance(listed, dict) and isinstance(listed.get("sha256"), str)
        if not known or sizes.get(name) != listed.get("bytes"):
            raise _damaged(path, f"{name} has another size than {MANIFEST} says")


def _restore_numbers(manifest: dict[str, Any]) -> None:
    """NaN again where JSON says null, in what is always a number: scores, and training's curve."""
    scores, training = manifest.get("scores"), manifest.get("training")
    history = training.get("history") if isinstance(training, dict) else None
    rows = [*scores.values()] if isinstance(scores, dict) else []
    rows += history if isinstance(history, list) else []
    for row in (row for row in rows if isinstance(row, dict)):
        for key in {"model", "marginal", "nearest", "loss", "score", "best"} & row.keys():
            row[key] = float("nan") if row[key] is None else row[key]


def _damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        f"{path}: the model file is damaged or altered: {what}; copy it again or train again"
    )
