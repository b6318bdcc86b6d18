"""The lab's own trials that a model file keeps, and what was drawn for them out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError
from virtlab.modelfile import HELD_OUT
from virtlab.scaling import Column
from virtlab.trials import MISSING_CATEGORY

if TYPE_CHECKING:
    from virtlab.simulation import Model

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Measured:
    """Trials that were measured, up to some ten thousand.

    Parameters
    ----------
    settings
        The distinct settings, ``(setting,)`` per parameter.
    setting
        Which of them each trial belongs to, ``(trial,)``.
    trials
        By measurement, ``(trial, *own dims)``; NaN where missing.
    judged
        The settings that have draws by members that never saw them, ``(k,)``.
    drawn
        Those draws by measurement, ``(k, draw, *own dims)``.
    """

    settings: dict[str, NDArray[Any]]
    setting: NDArray[np.int64]
    trials: dict[str, NDArray[Any]]
    judged: NDArray[np.int64]
    drawn: dict[str, NDArray[Any]]

    @property
    def settings_of_trials(self) -> dict[str, NDArray[Any]]:
        """Each trial's setting, ``(trial,)`` per parameter."""
        return {name: values[self.setting] for name, values in self.settings.items()}

    @property
    def size(self) -> int:
        """Number of distinct settings."""
        return len(next(iter(self.settings.values())))


def read_measured(model: Model) -> Measured | None:
    """Read the trials that a model file keeps; None where it keeps none, being private or old.

    Raises
    ------
    ModelFileError
        They do not fit the rest of the file.
    """
    if HELD_OUT not in model.manifest.get("members", {}):
        return None
    arrays = model.file.arrays(HELD_OUT)
    try:
        return _read(model, arrays)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelFileError(
            f"{model.file.path}: {HELD_OUT} does not fit the rest of the model file ({error}); "
            "train again"
        ) from error


def _read(model: Model, arrays: Arrays) -> Measured:
    settings: dict[str, NDArray[Any]] = {}
    for i, parameter in enumerate(model.parameters):
        values = arrays[f"parameter/{i}"]
        if parameter.kind == "categorical":
            values = np.array(parameter.categories, dtype=object)[values]
        settings[parameter.name] = values
    judged = arrays["judged"].astype(np.int64)
    found = Measured(
        settings=settings,
        setting=arrays["setting"].astype(np.int64),
        trials={c.measurement.name: _real(i, c, arrays) for i, c in enumerate(model.columns)},
        judged=judged,
        drawn=_drawn(model.columns, arrays, {n: v[judged] for n, v in settings.items()}),
    )
    lengths = {len(values) for values in settings.values()}
    if len(lengths) > 1 or found.setting.min() < 0 or found.setting.max() >= found.size:
        raise ValueError("settings are numbered otherwise")
    return found


def _real(number: int, column: Column, arrays: Arrays) -> NDArray[Any]:
    """One measurement of the kept trials: numbers, NaN where missing, or categories."""
    stored, measurement = arrays[f"real/{number}"], column.measurement
    if measurement.kind == "categorical":
        names = np.array([*measurement.categories, MISSING_CATEGORY], dtype=object)
        named: NDArray[Any] = names[stored]
        return named
    values = stored.astype(np.float64)
    seen = arrays.get(f"seen/{number}")
    values = values if seen is None else np.where(seen, values, np.nan)
    return values.reshape(len(values), *measurement.shape)


def _drawn(columns: tuple[Column, ...], arrays: Arrays, settings: Arrays) -> dict[str, Any]:
    """Draws ``(k, draw, *own dims)``, scaled back from the numbers that a file has."""
    values, codes = arrays["drawn/values"], arrays["drawn/codes"]
    count, draws = values.shape[:2]
    repeated = {name: np.repeat(chosen, draws) for name, chosen in settings.items()}
    values = values.reshape(count * draws, -1).astype(np.float32)
    codes = codes.reshape(count * draws, -1).astype(np.int64)
    found, at, code = {}, 0, 0
    for column in columns:
        mine = codes[:, code] if column.levels else None
        code += bool(column.levels)
        totals = column.totals(repeated, count * draws)
        made = column.scale_up(values[:, at : at + column.values], mine, totals)
        at += column.values
        found[column.measurement.name] = made.reshape(count, draws, *column.measurement.shape)
    return found
