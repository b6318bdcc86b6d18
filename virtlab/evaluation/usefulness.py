"""What are virtual trials good for? Learn from them, and be tested on real ones.

A regressor learns a measurement from the parameters: from real trials, from virtual ones, or from
both. It is tested on real trials at settings that neither it nor the members behind the virtual
ones have seen ("train on synthetic, test on real": Esteban et al. 2017). Virtual trials alone are
at the settings of the test, where a lab would simulate; beside real ones they are at others. They
hold no information that the model's training trials do not: where they help, it is by smoothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.case import Case, Material
from virtlab.evaluation.compared import Compared
from virtlab.evaluation.estimates import Estimate, estimate_means, row_means
from virtlab.trials import Measurement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

FRACTIONS = (0.125, 0.25, 0.5, 1.0)
MOST_VIRTUAL = 10  # per setting; as many as there are real ones, up to this
MOST_MEASUREMENTS = 6
MOST_TRIALS = 2_000
FEWEST_SETTINGS = 20
TREES = 20


@dataclass(frozen=True)
class Usefulness:
    """What one measurement's virtual trials are worth as training data.

    Parameters
    ----------
    measurement
        Its name; a signal or an image stands for its mean.
    real, virtual, both
        Error of the regressor on real trials (root mean square, in units of the real trials'
        spread), by what it learned from.
    help
        Error with real trials alone minus error with both: above 0, augmentation helps.
    settings
        Real settings that were learned from, on average over folds.
    worth
        So many of them do as well as the virtual trials; None where not even the fewest tried
        do so badly, or not all of them do so well.
    """

    measurement: str
    real: Estimate
    virtual: Estimate
    both: Estimate
    help: Estimate
    settings: int
    worth: int | None


def find_usefulness(
    case: Case,
    measurements: Sequence[Measurement],
    compared: Mapping[str, Compared],
    *,
    seed: int,
) -> list[Usefulness]:
    """Usefulness of each numeric measurement; empty where there is too little to learn from."""
    material = case.material
    if material is None or len(case.matched.conditions) < FEWEST_SETTINGS:
        return []
    rng = np.random.default_rng(seed)
    trials = material.trials
    numeric = [
        m
        for m in measurements
        if m.kind != "categorical"
        and _varies(trials.real[m.name], trials.setting)
        and _varies(compared[m.name].real, case.matched.setting)
    ][:MOST_MEASUREMENTS]
    settings = np.arange(len(case.matched.conditions))
    drawn = _some_draws(case, settings, [m.name for m in numeric])
    return [_of_one(case, material, m, compared[m.name], drawn[m.name], rng) for m in numeric]


def _varies(real: Array, setting: Indices) -> bool:
    """Whether there is something to learn: values at enough settings, and not always the same."""
    values = row_means(real)
    known = ~np.isnan(values)
    return len(np.unique(setting[known])) >= FEWEST_SETTINGS and bool(np.ptp(values[known]))


def _some_draws(case: Case, settings: Indices, names: Sequence[str]) -> dict[str, Array]:
    """Means over own dims of a few draws at each setting, ``(setting, draw)``."""
    each = round(len(case.matched.setting) / len(settings))
    few = int(np.clip(each, 1, min(case.first, MOST_VIRTUAL)))
    found: dict[str, list[Array]] = {name: [] for name in names}
    for part in np.array_split(settings, max(1, len(settings) // 100)):
        drawn = case.draw(part)
        for name in names:
            found[name].append(drawn[name][:, :few].mean(axis=-1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _of_one(
    case: Case,
    material: Material,
    measurement: Measurement,
    compared: Compared,
    drawn: Array,
    rng: np.random.Generator,
) -> Usefulness:
    known = row_means(material.trials.real[measurement.name])
    wanted = row_means(compared.real)
    unit = float(np.nanstd(wanted)) or 1.0
    test, setting = case.matched.conditions.astype(np.float64), case.matched.setting
    squares: dict[str, Array] = {}
    used = []
    for fold in np.unique(material.judged_fold):
        here = rng.permutation(np.flatnonzero(material.judged_fold == fold))
        groups = material.trials.setting
        rows = np.flatnonzero((material.fold[groups] != fold) & ~np.isnan(known))
        if len(rows) > MOST_TRIALS:
            rows = rng.choice(rows, MOST_TRIALS, replace=False)
        places = material.trials.conditions[groups[rows]].astype(np.float64)
        real = Taught(places, known[rows])
        names = rng.permutation(np.unique(groups[rows]))
        used.append(len(names))
        plans = [("virtual", _virtual(test, drawn, here), here)]
        for share in FRACTIONS:
            some = np.isin(groups[rows], names[: max(2, round(share * len(names)))])
            plans.append((f"real {share}", Taught(real.places[some], real.targets[some]), here))
        # Virtual trials at one half of the settings, tested at the other.
        half = np.array_split(here, 2)
        for one, other in (half, half[::-1]):
            plans.append(("both", real.with_more(_virtual(test, drawn, one)), other))
        for name, taught, asked in plans:
            mine = np.isin(setting, asked) & ~np.isnan(wanted)
            if not mine.any():
                continue
            error = squares.setdefault(name, np.full(len(wanted), np.nan))
            predicted = taught.regressor()(test[setting[mine]])
            error[mine] = np.square((predicted - wanted[mine]) / unit)
    return _told(measurement.name, squares, setting, round(float(np.mean(used))), rng)


@dataclass(frozen=True)
class Taught:
    """Conditions ``(trial, feature)`` and what was measured there ``(trial,)``."""

    places: Array
    targets: Array

    def with_more(self, other: Taught) -> Taught:
        """Both together."""
        return Taught(
            np.concatenate([self.places, other.places]),
            np.concatenate([self.targets, other.targets]),
        )

    def regressor(self) -> Callable[[Array], Array]:
        """A prediction learned from them: by a forest, which needs no tuning."""
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(TREES, min_samples_leaf=3, random_state=0, n_jobs=1)
        predict: Callable[[Array], Array] = forest.fit(self.places, self.targets).predict
        return predict


def _virtual(conditions: Array, drawn: Array, settings: Indices) -> Taught:
    """Virtual trials at some settings."""
    places = np.repeat(conditions[settings], drawn.shape[1], axis=0)
    return Taught(places, drawn[settings].ravel())


def _told(
    name: str,
    squares: Mapping[str, Array],
    setting: Indices,
    settings: int,
    rng: np.random.Generator,
) -> Usefulness:
    names = ["real 1.0", "virtual", "both"]
    tested = ~np.isnan(np.stack([squares[key] for key in names])).any(axis=0)
    sums = np.stack([np.where(tested, squares[key], 0) for key in names], axis=1)
    sums = np.concatenate([sums, sums[:, :1] - sums[:, 2:]], axis=1)
    real, virtual, both, gain = estimate_means(sums, tested.astype(float), setting, rng)
    scale = _root(real).value + _root(both).value or 1.0
    curve = [float(np.nanmean(squares[f"real {share}"])) for share in FRACTIONS]
    return Usefulness(
        measurement=name,
        real=_root(real),
        virtual=_root(virtual),
        both=_root(both),
        help=Estimate(
            _root(real).value - _root(both).value,
            *(end / scale for end in (gain.low, gain.high)),
        ),
        settings=settings,
        worth=_worth(virtual.value, curve, settings),
    )


def _worth(error: float, curve: Sequence[float], settings: int) -> int | None:
    """Settings at which the learning curve passes an error, by its logarithms."""
    falling = np.minimum.accumulate(curve)
    if not 0 < falling[-1] <= error <= falling[0] or falling[0] == falling[-1]:
        return None
    at = np.interp(-np.log(error), -np.log(falling), np.log(np.array(FRACTIONS) * settings))
    return round(float(np.exp(at)))


def _root(square: Estimate) -> Estimate:
    return Estimate(*(float(np.sqrt(max(v, 0))) for v in (square.value, square.low, square.high)))
