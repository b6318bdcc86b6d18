"""Trials that a model file keeps, and what members that never saw their settings drew there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError
from virtlab.evaluation.matching import Array, Matched, in_numbers
from virtlab.modelfile import HELD_OUT
from virtlab.scaling import Column
from virtlab.trials import MISSING_CATEGORY

if TYPE_CHECKING:
    from virtlab.simulation import Model

Indices = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class HeldOut:
    """What `virtlab.training.keeping` kept.

    Parameters
    ----------
    matched
        The kept trials, at all kept settings.
    fold
        Which fold each setting is in, ``(setting,)``.
    judged
        The settings that have draws, ``(k,)``.
    drawn
        Out-of-fold draws at those settings by measurement, in numbers, ``(k, draw, value)``.
    first
        So many of the draws are by members of one split into folds: together they have seen
        nothing of a fold that they draw at.
    """

    matched: Matched
    fold: Indices
    judged: Indices
    drawn: dict[str, Array]
    first: int

    @property
    def draws(self) -> int:
        """Draws per setting."""
        return int(next(iter(self.drawn.values())).shape[1])

    def to_judge(self, most: int) -> Matched:
        """Trials at settings with draws, at most so many; settings numbered as in `judged`."""
        place = np.full(len(self.fold), -1)
        place[self.judged] = np.arange(len(self.judged))
        rows = np.flatnonzero(place[self.matched.setting] >= 0)
        if len(rows) > most:  # each setting keeps its first one
            rest = np.random.default_rng(len(rows)).permutation(rows)
            first = np.unique(self.matched.setting[rest], return_index=True)[1]
            rows = np.sort(np.append(rest[first], np.delete(rest, first)[: most - len(first)]))
        whole = self.matched
        return Matched(
            settings={name: values[self.judged] for name, values in whole.settings.items()},
            setting=place[whole.setting[rows]],
            conditions=whole.conditions[self.judged],
            real={name: values[rows] for name, values in whole.real.items()},
            weight=whole.weight[rows] / whole.weight[rows].mean(),
        )


def is_kept(model: Model) -> bool:
    """Whether the model file keeps held-out trials: not if it is private, or older than that."""
    return HELD_OUT in model.manifest.get("members", {})


def read_held_out(model: Model) -> HeldOut:
    """Read what a model file keeps.

    Raises
    ------
    ModelFileError
        It keeps nothing, or what does not fit the rest of it.
    """
    arrays = model.file.arrays(HELD_OUT)
    try:
        return _read(model, arrays)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelFileError(
            f"{model.file.path}: {HELD_OUT} does not fit the rest of the model file ({error}); "
            "train again"
        ) from error


def _read(model: Model, arrays: Arrays) -> HeldOut:
    settings: dict[str, NDArray[Any]] = {}
    for i, parameter in enumerate(model.parameters):
        values = arrays[f"parameter/{i}"]
        if parameter.kind == "categorical":
            values = np.array(parameter.categories, dtype=object)[values]
        settings[parameter.name] = values
    setting, judged = arrays["setting"].astype(np.int64), arrays["judged"].astype(np.int64)
    weight = arrays.get("weight", np.ones(len(setting))).astype(np.float64)
    matched = Matched(
        settings=settings,
        setting=setting,
        conditions=model.conditions(settings),
        real={c.measurement.name: _real(i, c, arrays) for i, c in enumerate(model.columns)},
        weight=weight / weight.mean(),
    )
    chosen = {name: values[judged] for name, values in settings.items()}
    found = HeldOut(
        matched=matched,
        fold=arrays["fold"].astype(np.int64),
        judged=judged,
        drawn=scale_back(model.columns, arrays["drawn/values"], arrays["drawn/codes"], chosen),
        first=int(arrays["drawn/first"].item()),
    )
    shapes = {len(found.fold), *(len(values) for values in settings.values())}
    if len(shapes) > 1 or setting.min() < 0 or setting.max() >= len(found.fold):
        raise ValueError("settings are numbered otherwise")
    return found


def _real(number: int, column: Column, arrays: Arrays) -> Array:
    """One measurement of the kept trials in numbers, NaN where missing."""
    stored = arrays[f"real/{number}"]
    measurement = column.measurement
    if measurement.kind == "categorical":
        names = np.array([*measurement.categories, MISSING_CATEGORY], dtype=object)
        return in_numbers(measurement, names[stored])
    values = stored.astype(np.float64)
    seen = arrays.get(f"seen/{number}")
    return values if seen is None else np.where(seen, values, np.nan)


def scale_back(
    columns: Sequence[Column],
    values: NDArray[Any],
    codes: NDArray[Any],
    settings: dict[str, NDArray[Any]],
) -> dict[str, Array]:
    """Draws ``(setting, draw, value)`` and their codes as measurements, in numbers."""
    count, draws = values.shape[:2]
    repeated = {name: np.repeat(chosen, draws) for name, chosen in settings.items()}
    values = values.reshape(count * draws, -1).astype(np.float32)
    codes = codes.reshape(count * draws, -1).astype(np.int64)
    found, at, code = {}, 0, 0
    for column in columns:
        mine = codes[:, code] if column.levels else None
        code += bool(column.levels)
        totals = column.totals(repeated, count * draws)
        shaped = column.scale_up(values[:, at : at + column.values], mine, totals)
        at += column.values
        numbers = in_numbers(column.measurement, shaped)
        found[column.measurement.name] = numbers.reshape(count, draws, -1)
    return found
