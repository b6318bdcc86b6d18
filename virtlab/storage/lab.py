"""Lab files to a trials Dataset: find the files, read each, convert, check, join."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import xarray as xr

from virtlab import plugins
from virtlab.config import Experiment, read_experiment
from virtlab.errors import DataError, PluginError, VirtlabError
from virtlab.plugins import RawTrials, Reader
from virtlab.storage.joining import Joined
from virtlab.storage.probe import probed
from virtlab.storage.quantities import quantities_of
from virtlab.trials import TRIAL

Told = Callable[[str, float], None]


def open_trials(
    experiment: Experiment | str | os.PathLike[str],
    report: Told | None = None,
) -> xr.Dataset:
    """Read all trials of an experiment.

    Parameters
    ----------
    experiment
        An experiment, or the path of its experiment.toml.
    report
        Called as ``report(message, fraction)`` before each file and at the end.

    Returns
    -------
    trials
        See `virtlab.trials`. Each variable's attrs hold ``units``, ``kind`` and ``missing`` (a
        count), a measurement's also ``missing_trials`` (that lack some of it) and ``support``. The
        Dataset's attrs hold ``experiment``, ``files``, ``missing`` (values in all measurements),
        ``dropped_trials`` and, a text for each reason, ``dropped_reasons``.

    Raises
    ------
    ConfigError
        The experiment.toml cannot be used.
    DataError
        A lab file, or what stands in it, cannot be used.
    PluginError
        The reader is missing or broke its contract.
    """
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(Path(experiment))
    paths = find_files(experiment)
    joined = Joined(quantities_of(experiment))
    for raw, path in raw_trials(experiment, paths, report=report):
        joined.add(raw, experiment, str(path))
    return finished(joined.dataset(experiment), paths, report)


def finished(trials: xr.Dataset, paths: list[Path], report: Told | None) -> xr.Dataset:
    """Note the files in the trials' attrs, and tell that all is read."""
    trials.attrs["files"] = [path.name for path in paths]
    if report is not None:
        files = f"{len(paths)} file{'s' * (len(paths) > 1)}"
        report(f"read {trials.sizes[TRIAL]:,} trials from {files}", 1.0)
    return trials


def raw_trials(
    experiment: Experiment,
    paths: list[Path],
    *,
    most_bytes: int | None = None,
    report: Told | None = None,
) -> Iterator[tuple[RawTrials, Path]]:
    """Yield the files' raw trials, each with its file.

    Parameters
    ----------
    experiment
        Names the reader.
    paths
        See `find_files`.
    most_bytes
        About so many at a time, if the reader can; None: each file whole.
    report
        Called before each file.
    """
    reader = plugins.reader(experiment.data.reader)
    for number, path in enumerate(probed(paths)):
        if report is not None:
            report(f"reading {path.name} ({number + 1} of {len(paths)})", number / len(paths))
        for raw in _read(reader, path, experiment, most_bytes):
            yield raw, path


def find_files(experiment: Experiment) -> list[Path]:
    """All lab files of an experiment: each glob's matches sorted, none twice.

    Raises
    ------
    DataError
        A glob matches nothing.
    """
    folder = experiment.path.absolute().parent
    found: dict[Path, None] = {}
    for pattern in experiment.data.files:
        matches = [pattern] if (folder / pattern).is_file() else None
        if matches is None:
            # Path.glob takes no absolute pattern
            matches = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
        if not matches:
            what = "file matches" if glob.has_magic(pattern) else "such file as"
            raise DataError(
                f"{experiment.path.name}: data.files: no {what} {pattern!r} in folder {folder}"
            )
        found |= dict.fromkeys(folder / match for match in matches)
    return list(found)


def _read(
    reader: Reader, path: Path, experiment: Experiment, most_bytes: int | None
) -> Iterator[RawTrials]:
    """One file's raw trials; a plugin's own faults become errors that name it."""
    try:
        if most_bytes is None or reader.parts is None:
            yield _checked(reader.read(path, experiment), reader, path, experiment)
        else:
            for raw in reader.parts(path, experiment, most_bytes):
                yield _checked(raw, reader, path, experiment)
    except VirtlabError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: too big for this machine's memory") from error
    except Exception as error:  # whatever a plugin raises is text for its user here
        raise PluginError(
            f"{path}: reader {reader.name!r} failed: {type(error).__name__}: {error}"
        ) from error


def _checked(raw: object, reader: Reader, path: Path, experiment: Experiment) -> RawTrials:
    """What a reader returned, if it is what the experiment names."""
    if not isinstance(raw, RawTrials):
        raise PluginError(f"{path}: reader {reader.name!r} returned no RawTrials")
    coords = {coord for table in experiment.measurements.values() for coord in table.coords}
    wanted = {
        "parameter": ({n for n, t in experiment.parameters.items() if t.path}, raw.parameters),
        "measurement": (set(experiment.measurements), raw.measurements),
        "coordinate": (coords, raw.coords),
    }
    for role, (names, given) in wanted.items():
        missing = sorted(names - set(given))
        if missing:
            raise PluginError(
                f"{path}: reader {reader.name!r} returned no {role} {', '.join(missing)}"
            )
    if experiment.data.weights is not None and raw.weights is None:
        raise PluginError(
            f"{path}: reader {reader.name!r} returned no weights, which [data] weights asks for; "
            "remove the key, or use a reader that knows them"
        )
    return raw
