"""Draws virtual trials of a design, some ten thousand at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Settings
from virtlab.design import Design
from virtlab.domain import verdicts
from virtlab.errors import ConfigError
from virtlab.runtime import BLOCK, ROWS_AT_ONCE, Trials, member_of, setting_key
from virtlab.scaling import Column

if TYPE_CHECKING:
    from virtlab.simulation.model import Model


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


def draw(
    model: Model,
    design: Design,
    *,
    trials: int,
    seed: int,
    report: Callable[[float], None] | None = None,
) -> Drawn:
    """Draw `trials` virtual trials at every setting of a design.

    Raises
    ------
    ConfigError
        `trials` or `seed` is no whole number, or out of range.
    """
    _check_whole("trials", trials, 1, 10**9)
    _check_whole("seed", seed, 0, 2**63 - 1)
    conditions = model.conditions(design.settings)
    keys = setting_keys(design)
    measurements: dict[str, NDArray[Any]] = {
        column.measurement.name: np.empty(
            (design.size, trials, *column.measurement.shape), dtype_of(column)
        )
        for column in model.columns
    }
    done = 0
    for runs in _portions(keys, trials):
        # The settings' part is computed for the settings of this portion alone: for a large
        # design it would otherwise outgrow the trials themselves.
        first = runs[0].setting
        parameters = model.runtime.setting_part(conditions[first : runs[-1].setting + 1])
        local = [Trials(run.setting - first, run.key, run.first, run.count) for run in runs]
        values, levels = model.runtime.draw(parameters, local, seed)
        _place(model.columns, runs, values, levels, design.settings, measurements)
        done += len(values)
        if report is not None:
            report(done / (design.size * trials))
    distance, count = model.domain.distance(conditions), model.runtime.members
    return Drawn(
        measurements=measurements,
        member=np.stack([member_of(key, np.arange(trials), count) for key in keys]),
        domain=verdicts(distance),
        domain_distance=distance,
    )


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise ConfigError(f"{name}: expected a whole number from {low} to {high}, found {value!r}")


def setting_keys(design: Design) -> list[int]:
    """One key per setting, from its values alone."""
    names = list(design.settings)
    columns = [design.settings[name].tolist() for name in names]
    return [setting_key(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


def dtype_of(column: Column) -> type:
    """What a measurement is stored as."""
    kinds = {"categorical": object, "count": np.int64}
    return kinds.get(column.measurement.kind, np.float64 if column.double else np.float32)


def _portions(keys: list[int], trials: int) -> Iterator[list[Trials]]:
    """Runs of trials, block by block, in portions that fit into memory."""
    runs: list[Trials] = []
    rows = 0
    for setting, key in enumerate(keys):
        for first in range(0, trials, BLOCK):
            count = min(BLOCK, trials - first)
            if runs and rows + count > ROWS_AT_ONCE:
                yield runs
                runs, rows = [], 0
            runs.append(Trials(setting, key, first, count))
            rows += count
    if runs:
        yield runs


def _place(
    columns: tuple[Column, ...],
    runs: list[Trials],
    values: NDArray[np.float32],
    levels: NDArray[np.float32],
    settings: Settings,
    measurements: dict[str, NDArray[Any]],
) -> None:
    """Scale a portion back and put it where it belongs."""
    setting = np.repeat([run.setting for run in runs], [run.count for run in runs])
    own = {name: chosen[setting] for name, chosen in settings.items()}
    at = level = 0
    for column in columns:
        codes = None
        if column.levels:
            codes = levels[:, level : level + column.levels].argmax(axis=1)
            level += column.levels
        totals = column.totals(own, len(setting))
        made = column.scale_up(values[:, at : at + column.values], codes, totals)
        at += column.values
        target, row = measurements[column.measurement.name], 0
        for run in runs:
            target[run.setting, run.first : run.first + run.count] = made[row : row + run.count]
            row += run.count
