"""Trials that a model file keeps, and what members that never saw their settings drew there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.matching import Array, Matched, in_numbers
from virtlab.jury import Jury
from virtlab.simulation.kept import read_kept
from virtlab.trials import Measurement

if TYPE_CHECKING:
    from virtlab.simulation import Model

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class HeldOut:
    """What `virtlab.training.keeping` kept.

    Parameters
    ----------
    matched
        The kept trials, at all kept settings.
    fold
        Which fold each setting is in, ``(setting,)``; those kept apart from all members are one.
    judged
        The settings that have draws, ``(k,)``.
    drawn
        Out-of-fold draws at those settings by measurement, in numbers, ``(k, draw, value)``.
    ended, jury
        See `virtlab.simulation.kept.Kept`.
    first
        So many of the draws are by members of one split into folds: together they have seen
        nothing of a fold that they draw at.
    unseen
        So many folds, one after the other, a member did not learn from.
    """

    matched: Matched
    fold: Indices
    judged: Indices
    drawn: dict[str, Array]
    ended: dict[str, Array]
    jury: Jury
    first: int
    unseen: int = 1

    @property
    def draws(self) -> int:
        """Draws per setting."""
        return int(next(iter(self.drawn.values())).shape[1])

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Settings that no member learned from: where there are such, these alone are judged."""
        folds = np.unique(self.fold[self.judged])
        alone = len(folds) == 1 < len(np.unique(self.fold))
        found: NDArray[np.bool_] = np.isin(self.fold, folds) & alone
        return found

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


def read_held_out(model: Model) -> HeldOut:
    """Read what a model file keeps.

    Raises
    ------
    ModelFileError
        It keeps nothing, or what does not fit the rest of it.
    """
    kept = read_kept(model)
    real = {m.name: in_numbers(m, kept.trials[m.name]) for m in model.measurements}
    return HeldOut(
        matched=Matched(
            settings=kept.settings,
            setting=kept.setting,
            conditions=model.conditions(kept.settings),
            real=real,
            weight=kept.weight / kept.weight.mean(),
        ),
        fold=kept.fold,
        judged=kept.judged,
        drawn=draws_in_numbers(model.measurements, kept.drawn),
        ended=draws_in_numbers(model.measurements, kept.ended),
        jury=kept.jury,
        first=kept.first,
        unseen=kept.unseen,
    )


def draws_in_numbers(
    measurements: Sequence[Measurement], drawn: Mapping[str, NDArray[Any]]
) -> dict[str, Array]:
    """Draws ``(setting, draw, *own dims)`` by measurement as ``(setting, draw, value)``."""
    found = {}
    for measurement in measurements:
        values = drawn[measurement.name]
        numbers = in_numbers(measurement, values.reshape(-1, *measurement.shape))
        found[measurement.name] = numbers.reshape(*values.shape[:2], numbers.shape[1])
    return found
