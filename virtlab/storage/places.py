"""Where a Zarr store's files go: a folder, or a URL that fsspec knows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from pathlib import Path
from typing import Any, Protocol

from virtlab.errors import OutputError
from virtlab.storage.disk import hand_over

PARTIAL = ".partial-"
"""In the name of a file that is still being written."""


class Place(Protocol):
    """Files by key: names with slashes."""

    def exists(self) -> bool:
        """Whether anything stands here."""

    def write(self, key: str, content: bytes) -> None:
        """Write a file whole or not at all."""

    def read(self, key: str) -> bytes | None:
        """Content of a file, None where there is none."""

    def size(self, key: str) -> int | None:
        """Bytes of a file, None where there is none."""

    def clear(self) -> None:
        """Remove all files."""

    def remove(self) -> None:
        """Remove the place."""


class Folder:
    """A place on this machine, made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether anything stands here."""
        return os.path.lexists(self.path)

    def write(self, key: str, content: bytes) -> None:
        """Write beside the file's place, have it on the disk, and rename."""
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}{PARTIAL}{secrets.token_hex(4)}")
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                hand_over(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def read(self, key: str) -> bytes | None:
        """Content of a file, None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / key).read_bytes()
        return None

    def size(self, key: str) -> int | None:
        """Bytes of a file, None where there is none."""
        with contextlib.suppress(FileNotFoundError):
            return (self.path / key).stat().st_size
        return None

    def clear(self) -> None:
        """Remove all files; the folder itself may be locked."""
        for entry in self.path.iterdir() if self.path.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def tidy(self) -> None:
        """Remove files that were being written when their process was killed."""
        for file in self.path.rglob(f"*{PARTIAL}*"):
            file.unlink(missing_ok=True)

    def lock(self) -> int:
        """Keep other processes out of it; unlocked when the handle is closed or its process ends.

        Raises
        ------
        OutputError
            Another process writes here.
        """
        self.path.mkdir(exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise OutputError(f"{self.path}: another process is writing it; wait for it") from error
        return handle


class Remote:
    """A place behind a URL; what is written there appears whole, by itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = _file_system(url)

    def __reduce__(self) -> tuple[type[Remote], tuple[str]]:
        """Travel to a worker as the URL."""
        return Remote, (self.url,)

    def exists(self) -> bool:
        """Whether anything stands here."""
        with _told(self.url):
            return bool(self._files.exists(self._root))

    def write(self, key: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        with _told(self.url):
            self._files.pipe_file(f"{self._root}/{key}", content)

    def read(self, key: str) -> bytes | None:
        """Content of a file, None where there is none."""
        with _told(self.url), contextlib.suppress(FileNotFoundError):
            return bytes(self._files.cat_file(f"{self._root}/{key}"))
        return None

    def size(self, key: str) -> int | None:
        """Bytes of a file, None where there is none."""
        with _told(self.url), contextlib.suppress(FileNotFoundError):
            return int(self._files.info(f"{self._root}/{key}")["size"])
        return None

    def clear(self) -> None:
        """Remove everything."""
        with _told(self.url), contextlib.suppress(FileNotFoundError):
            self._files.rm(self._root, recursive=True)

    def remove(self) -> None:
        """Remove all files."""
        self.clear()


def place_at(where: str) -> Place:
    """Open a folder or a URL."""
    return Remote(where) if is_url(where) else Folder(Path(where))


def is_url(where: object) -> bool:
    """Whether an output is named by a URL."""
    return "://" in str(where)


def _file_system(url: str) -> tuple[Any, str]:
    scheme = url.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise OutputError(
            f"{url}: URLs need fsspec; pip install 'virtlab[cluster]', or write to a folder"
        ) from error
    try:
        files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise OutputError(f"{url}: {scheme} needs a package more: {error}") from error
    except Exception as error:  # every file system has errors of its own
        raise OutputError(f"{url}: cannot be opened: {error}") from error
    return files, root.rstrip("/")


@contextlib.contextmanager
def _told(url: str) -> Any:
    """Errors of any file system as ours."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:
        raise OutputError(f"{url}: {error}") from error
