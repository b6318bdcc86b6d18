"""The lab's own trials that a model file keeps, and what was drawn for them out of fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import ModelFileError
from virtlab.jury import ALONE, Jury
from virtlab.modelfile import HELD_OUT
from virtlab.scaling import Column
from virtlab.simulation.model import Model
from virtlab.trials import MISSING_CATEGORY

Arrays = Mapping[str, NDArray[Any]]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Kept:
    """Trials that were measured, up to some ten thousand; what `virtlab.training.keeping` kept.

    Parameters
    ----------
    settings
        The distinct settings, ``(setting,)`` per parameter.
    fold
        Which fold each setting is in, ``(setting,)``; those kept apart from all members are one.
    setting
        Which setting each trial belongs to, ``(trial,)``.
    weight
        How much each trial counts, ``(trial,)``.
    trials
        By measurement, ``(trial, *own dims)``; NaN where missing.
    judged
        The settings that have draws by members that never saw them, ``(k,)``.
    drawn
        Those draws by measurement, ``(k, draw, *own dims)``.
    ended
        Likewise by members whose training these trials ended, where these are others.
    jury
        Whose draws these are.
    first
        So many of the draws are by members of one split into folds: together they have seen
        nothing of a fold that they draw at.
    unseen
        So many folds, one after the other, a member did not learn from.
    """

    settings: dict[str, NDArray[Any]]
    fold: Indices
    setting: Indices
    weight: NDArray[np.float64]
    trials: dict[str, NDArray[Any]]
    judged: Indices
    drawn: dict[str, NDArray[Any]]
    ended: dict[str, NDArray[Any]]
    jury: Jury
    first: int
    unseen: int = 1

    @property
    def settings_of_trials(self) -> dict[str, NDArray[Any]]:
        """Each trial's setting, ``(trial,)`` per parameter."""
        return {name: values[self.setting] for name, values in self.settings.items()}

    @property
    def size(self) -> int:
        """Number of distinct settings."""
        return len(self.fold)


def keeps_trials(model: Model) -> bool:
    """Whether the model file keeps trials: not if it is private, or older than that."""
    return HELD_OUT in model.manifest.get("members", {})


def read_kept(model: Model) -> Kept:
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


def _read(model: Model, arrays: Arrays) -> Kept:
    settings: dict[str, NDArray[Any]] = {}
    for i, parameter in enumerate(model.parameters):
        values = arrays[f"parameter/{i}"]
        if parameter.kind == "categorical":
            values = np.array(parameter.categories, dtype=object)[values]
        settings[parameter.name] = values
    setting, judged = arrays["setting"].astype(np.int64), arrays["judged"].astype(np.int64)
    chosen = {name: values[judged] for name, values in settings.items()}
    jury = Jury(*map(int, arrays["drawn/jury"])) if "drawn/jury" in arrays else ALONE
    drawn = scale_back(model.columns, arrays["drawn/values"], arrays["drawn/codes"], chosen)
    each, more = divmod(arrays["drawn/values"].shape[1], jury.size)
    if more:
        raise ValueError(f"draws are not by {jury.size} members alike")
    own = each * jury.judges
    found = Kept(
        settings=settings,
        fold=arrays["fold"].astype(np.int64),
        setting=setting,
        weight=arrays.get("weight", np.ones(len(setting))).astype(np.float64),
        trials={c.measurement.name: _real(i, c, arrays) for i, c in enumerate(model.columns)},
        judged=judged,
        drawn={name: values[:, :own] for name, values in drawn.items()},
        ended={name: values[:, own:] for name, values in drawn.items()},
        jury=jury,
        first=int(arrays["drawn/first"].item()),
        unseen=max(1, int(arrays["unseen"].item())) if "unseen" in arrays else 1,
    )
    lengths = {found.size, *(len(values) for values in settings.values())}
    if len(lengths) > 1 or setting.min() < 0 or setting.max() >= found.size:
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


def scale_back(
    columns: Sequence[Column], values: NDArray[Any], codes: NDArray[Any], settings: Arrays
) -> dict[str, NDArray[Any]]:
    """Scaled draws ``(setting, draw, value)`` and their codes as measurements.

    Returns
    -------
    dict
        ``(setting, draw, *own dims)`` by measurement.
    """
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
