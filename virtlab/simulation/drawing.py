"""Draws virtual trials of a design, some ten thousand at a time, on all cores."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Settings
from virtlab.design import Design
from virtlab.domain import verdicts
from virtlab.errors import ConfigError
from virtlab.runtime import Parameters, Runtime, Trials, cores, members_of, setting_key
from virtlab.scaling import Column

if TYPE_CHECKING:
    from virtlab.simulation.model import Model

MEMBER = "member"
MOST_TRIALS = 10**9
MOST_SEED = 2**63 - 1
SWITCH = 5e-4  # seconds that a thread waits for Python's lock: of 5 ms a tenth of a core was idle


@dataclass(frozen=True)
class Drawn:
    """Virtual trials as arrays.

    Parameters
    ----------
    measurements
        ``(setting, trial, *own dims)`` by name.
    member
        Which member drew each trial, ``(setting, trial)``.
    domain, domain_distance
        Verdict and distance of each setting, ``(setting,)``.
    """

    measurements: dict[str, NDArray[Any]]
    member: NDArray[np.int16]
    domain: NDArray[np.object_]
    domain_distance: NDArray[np.float64]


class Drawer:
    """Draws any settings and trials of a design.

    Parameters
    ----------
    model, design
        What draws, and where.
    seed
        0 to 2^63 - 1.
    pool
        Threads to share the work with; None: this thread alone.

    Raises
    ------
    ConfigError
        `seed` is no whole number, or out of range.
    """

    def __init__(
        self, model: Model, design: Design, *, seed: int, pool: Executor | None = None
    ) -> None:
        check_whole("seed", seed, 0, MOST_SEED)
        self._model, self._design, self._seed, self._pool = model, design, seed, pool

    def draw(
        self,
        settings: range,
        trials: range,
        report: Callable[[float], None] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Draw a rectangle of settings and trials.

        Returns
        -------
        dict
            ``(setting, trial, *own dims)`` by measurement, categories as codes; ``member``,
            ``(setting, trial)``.
        """
        chosen = {
            name: values[settings.start : settings.stop]
            for name, values in self._design.settings.items()
        }
        keys = setting_keys(chosen)
        conditions = self._model.domain.in_sight(self._model.conditions(chosen))
        count = len(trials)
        found: dict[str, NDArray[Any]] = {
            column.measurement.name: np.empty(
                (len(settings), count, *column.measurement.shape), drawn_dtype(column)
            )
            for column in self._model.columns
        }

        known: dict[tuple[int, int], Parameters] = {}

        def work(runs: list[Trials]) -> int:
            # The settings' part is computed for the settings of a portion alone: for a large
            # design it would otherwise outgrow the trials themselves. The last one is kept, for
            # portions of one setting's trials.
            span = runs[0].setting, runs[-1].setting + 1
            parameters = known.get(span)
            if parameters is None:
                parameters = self._model.runtime.setting_part(conditions[slice(*span)])
                known.clear()
                known[span] = parameters
            return self._place(runs, trials.start, parameters, chosen, found)

        portions = _portions(keys, trials, self._model.runtime)
        done = 0
        for rows in map(work, portions) if self._pool is None else self._pool.map(work, portions):
            done += rows
            if report is not None:
                report(done / (len(settings) * count))
        members = self._model.runtime.members
        found[MEMBER] = np.stack([members_of(k, trials.start, count, members) for k in keys])
        return found

    def _place(
        self,
        runs: list[Trials],
        begin: int,
        parameters: Parameters,
        settings: Settings,
        found: dict[str, NDArray[Any]],
    ) -> int:
        """Draw a portion, scale it back and put it where it belongs; how many trials it has."""
        first = runs[0].setting
        local = [Trials(run.setting - first, run.key, run.first, run.count) for run in runs]
        values, levels = self._model.runtime.draw(parameters, local, self._seed)
        setting = np.repeat([run.setting for run in runs], [run.count for run in runs])
        bound = any(column.constraint for column in self._model.columns)
        own = {name: chosen[setting] for name, chosen in settings.items() if bound}
        at = level = 0
        for column in self._model.columns:
            codes = None
            if column.levels:
                codes = levels[:, level : level + column.levels].argmax(axis=1)
                level += column.levels
            if column.measurement.kind == "categorical":
                made = codes
            else:
                totals = column.totals(own, len(setting))
                made = column.scale_up(values[:, at : at + column.values], codes, totals)
                at += column.values
            assert made is not None
            target, row = found[column.measurement.name], 0
            for run in runs:
                here = slice(run.first - begin, run.first - begin + run.count)
                target[run.setting, here] = made[row : row + run.count]
                row += run.count
        return len(setting)


def draw(
    model: Model,
    design: Design,
    *,
    trials: int,
    seed: int,
    report: Callable[[float], None] | None = None,
) -> Drawn:
    """Draw `trials` virtual trials at every setting of a design, in memory.

    Raises
    ------
    ConfigError
        `trials` or `seed` is no whole number, or out of range.
    """
    check_whole("trials", trials, 1, MOST_TRIALS)
    with threads() as pool:
        drawer = Drawer(model, design, seed=seed, pool=pool)
        found = drawer.draw(range(design.size), range(trials), report)
    distance = model.domain.distance(model.conditions(design.settings))
    return Drawn(
        measurements={
            column.measurement.name: decoded(column, found[column.measurement.name])
            for column in model.columns
        },
        member=found[MEMBER],
        domain=verdicts(distance),
        domain_distance=distance,
    )


@contextmanager
def threads() -> Iterator[Executor]:
    """One thread per core; what they have not begun when something fails is never done."""
    pool = ThreadPoolExecutor(cores())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        sys.setswitchinterval(interval)


def decoded(column: Column, values: NDArray[Any]) -> NDArray[Any]:
    """Codes of categories as text; all else as it is."""
    if column.measurement.kind != "categorical":
        return values
    named: NDArray[Any] = np.array(column.measurement.categories, dtype=object)[values]
    return named


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is no whole number between two others."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise ConfigError(f"{name}: expected a whole number from {low} to {high}, found {value!r}")


def setting_keys(settings: Settings) -> list[int]:
    """One key per setting, from its values alone."""
    names = list(settings)
    # 0.0 and -0.0 are one setting.
    columns = [
        (values if values.dtype == object else values + 0.0).tolist()
        for values in settings.values()
    ]
    return [setting_key(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def dtype_of(column: Column) -> np.dtype[Any]:
    """What a measurement is to whoever reads it."""
    kinds: dict[str, type] = {"categorical": object, "count": np.int64}
    return np.dtype(kinds.get(column.measurement.kind, np.float64 if column.double else np.float32))


def drawn_dtype(column: Column) -> np.dtype[Any]:
    """What a measurement is drawn as: categories as codes."""
    if column.measurement.kind != "categorical":
        return dtype_of(column)
    return np.min_scalar_type(-len(column.measurement.categories))


def _portions(keys: Sequence[int], trials: range, runtime: Runtime) -> Iterator[list[Trials]]:
    """Runs of trials, in portions that a runtime draws at once."""
    runs: list[Trials] = []
    rows = 0
    for setting, key in enumerate(keys):
        first = trials.start
        while first < trials.stop:
            count = min(trials.stop - first, runtime.rows - rows)
            runs.append(Trials(setting, key, first, count))
            first += count
            rows += count
            if rows == runtime.rows or len(runs) == runtime.settings:
                yield runs
                runs, rows = [], 0
    if runs:
        yield runs
