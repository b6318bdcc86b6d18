"""What a model remembers of its training trials, in numbers: the measure of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.evaluation.attack import CLUES, find_clues, guess
from virtlab.evaluation.estimates import INTERVAL, ROUNDS, Estimate, estimate_mean
from virtlab.evaluation.heldout import HeldOut
from virtlab.evaluation.leverage import draw_by_folds, draw_by_whole
from virtlab.evaluation.matching import Array, Matched, in_numbers

if TYPE_CHECKING:
    from virtlab.simulation import Model

Indices = NDArray[np.int64]

SEED = 20_261
PAIRS = (100, 1000)
DRAWS = (20, 100)  # per setting
MOST_VALUES = 4e7  # simulated: what `PAIRS` and `DRAWS` are chosen by
RECORDS = 5  # virtual trials per trial and side that are looked for among real ones
SAME = 1e-9  # relative: as far from both


@dataclass(frozen=True)
class Memory:
    """What was found; see `virtlab.evaluation.audit.Audit` for the numbers.

    `pairs` trials at `settings` settings were too few if the rest is None.
    """

    pairs: int
    settings: int
    copies: Estimate | None = None
    nearness: Estimate | None = None
    usual_nearness: Estimate | None = None
    advantage: Estimate | None = None
    usual: Estimate | None = None
    excess: Estimate | None = None
    gaps: tuple[float, float] | None = None


def beside_new(model: Model, training: Matched, new: Matched, fewest: tuple[int, int]) -> Memory:
    """Training trials beside new ones: each new trial with a training trial of the nearest setting.

    Both kinds then come from the same settings.

    Parameters
    ----------
    fewest
        Pairs and settings without which nothing can be told.
    """
    rng = np.random.default_rng(SEED)
    sides = [_Side.of(model, trials) for trials in (training, new)]
    unit, width = sides[0].units(), sides[0].values.shape[1]
    rows = _pair(sides[0], sides[1], _most(2 * width), rng)
    setting = [side.matched.setting[chosen] for side, chosen in zip(sides, rows, strict=True)]
    pairs, settings = len(rows[0]), min(len(np.unique(each)) for each in setting)
    if pairs < fewest[0] or settings < fewest[1]:
        return Memory(pairs, settings)
    draws = int(np.clip(MOST_VALUES / (2 * pairs * width), *DRAWS))
    looked = [
        _look(_simulated(model, side.matched, draws, SEED + i), side, chosen, unit)
        for i, (side, chosen) in enumerate(zip(sides, rows, strict=True))
    ]
    real = [side.values[chosen] / unit for side, chosen in zip(sides, rows, strict=True)]
    flat = _records(looked)
    nearness, away = _nearness(flat / unit, real[0], real[1], setting[0], rng)
    single = _once(_as_bytes(sides[0].values))
    equal = np.isin(_as_bytes(flat), single).reshape(2 * pairs, -1).mean(axis=1)
    alike = np.isin(_as_bytes(sides[1].values[rows[1]]), single).astype(np.float64)
    halves = [_halves(each, rng) for each in setting]
    guessed = guess([found.clues for found in looked], halves)
    fitted = draw_by_whole(training, (training, new), model.measurements, draws, rng)
    fits = [
        _look(source, side, chosen, unit)
        for source, side, chosen in zip(fitted, sides, rows, strict=True)
    ]
    usual = guess([found.clues for found in fits], halves)
    # Two sides have settings of their own: the same number means another one.
    both = np.concatenate([setting[0], setting[1] + setting[0].max() + 1])
    return Memory(
        pairs,
        settings,
        copies=_difference(equal, both, alike, setting[1], rng),
        nearness=nearness,
        # New trials of a lab that has changed lie farther from any fit to the old ones.
        usual_nearness=_nearness(_records(fits) / unit, real[0], real[1], setting[0], rng)[0],
        advantage=_difference(guessed[0], setting[0], guessed[1], setting[1], rng),
        usual=_difference(usual[0], setting[0], usual[1], setting[1], rng),
        excess=_difference(
            guessed[0] - usual[0], setting[0], guessed[1] - usual[1], setting[1], rng
        ),
        gaps=(float(np.median(away)), float(np.median(_nearest(real[1], real[0])[0]))),
    )


def beside_folds(model: Model, kept: HeldOut, fewest: tuple[int, int]) -> Memory:
    """Each training trial beside draws of members that saw it, and of one that did not.

    The model file keeps what a member drew at the settings held out for it. Another member, which
    was trained on them, draws as many trials there now; with nothing remembered, both are alike.
    """
    if not len(kept.judged):
        return Memory(0, 0)
    rng = np.random.default_rng(SEED)
    side = _Side.of(model, kept.to_judge(PAIRS[1]))
    width = side.values.shape[1]
    rows = np.sort(rng.permutation(side.usable)[: _most(2 * width)])
    setting = side.matched.setting[rows]
    pairs, settings = len(rows), len(np.unique(setting))
    if pairs < fewest[0] or settings < fewest[1] or kept.fold.max() < 1:
        return Memory(pairs, settings)
    unit, draws = side.units(), min(kept.first, DRAWS[1])
    out = np.concatenate([values[:, :draws] for values in kept.drawn.values()], axis=2)
    fold = kept.fold[kept.judged]
    seen, unseen = (
        _look(source, side, rows, unit)
        for source in (
            _by_other_folds(model, side.matched, fold, draws),
            lambda here: out[here],
        )
    )
    # A trial of the same fold is one that the member on the one side saw, on the other did not.
    away = [
        _nearest_of_fold(found.records / unit, side.values[rows] / unit, fold[setting])
        for found in (seen, unseen)
    ]
    tied = np.abs(away[0] - away[1]) <= SAME * (away[0] + away[1])
    nearer = np.where(tied, 0.5, away[0] < away[1]).mean(axis=1)
    single = _once(_as_bytes(side.values))
    equal = [
        np.isin(_as_bytes(found.records.reshape(-1, width)), single).reshape(pairs, -1).mean(axis=1)
        for found in (seen, unseen)
    ]
    halves = _halves(setting, rng)
    guessed = guess([seen.clues, unseen.clues], [halves, halves])
    fitted = draw_by_folds(kept, model.measurements, draws, rng)
    usual = guess([_look(source, side, rows, unit).clues for source in fitted], [halves, halves])
    ones = np.ones(pairs)
    return Memory(
        pairs,
        settings,
        copies=estimate_mean(equal[0] - equal[1], ones, setting, rng),
        nearness=estimate_mean(nearer, ones, setting, rng),
        advantage=estimate_mean(guessed[0] - guessed[1], ones, setting, rng),
        usual=estimate_mean(usual[0] - usual[1], ones, setting, rng),
        excess=estimate_mean(guessed[0] - guessed[1] - usual[0] + usual[1], ones, setting, rng),
        gaps=(float(np.median(away[0])), float(np.median(away[1]))),
    )


@dataclass(frozen=True)
class _Side:
    """Trials with all measurements side by side, and which are complete and inside the data."""

    matched: Matched
    values: Array
    widths: tuple[int, ...]
    usable: Indices

    @classmethod
    def of(cls, model: Model, matched: Matched) -> _Side:
        values = np.concatenate(list(matched.real.values()), axis=1)
        inside = model.domain.distance(matched.conditions)[matched.setting] <= 1 + 1e-6
        usable = np.flatnonzero(inside & ~np.isnan(values).any(axis=1))
        widths = tuple(found.shape[1] for found in matched.real.values())
        return cls(matched, values, widths, usable)

    def units(self) -> Array:
        """What each value is divided by, so that distances count measurements alike."""
        spread = self.values[self.usable].var(axis=0) if len(self.usable) else np.ones(1)
        pieces, at = [], 0
        for width in self.widths:
            typical = np.sqrt(spread[at : at + width].mean()) or 1.0
            pieces.append(np.full(width, typical * np.sqrt(width * len(self.widths))))
            at += width
        return np.concatenate(pieces)


def _most(width: int) -> int:
    """How many pairs time allows."""
    return int(np.clip(MOST_VALUES / (width * DRAWS[0]), *PAIRS))


def _pair(
    training: _Side, new: _Side, most: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """New trials, and to each a training trial of its own of the nearest setting."""
    free = rng.permutation(training.usable)
    wanted = rng.permutation(new.usable)[: min(most, len(free))]
    conditions = training.matched.conditions[training.matched.setting[free]]
    taken = np.zeros(len(free), bool)
    found = []
    for row in wanted:
        here = new.matched.conditions[new.matched.setting[row]]
        gap = np.where(taken, np.inf, np.square(conditions - here).sum(axis=1))
        taken[at := int(gap.argmin())] = True
        found.append(int(free[at]))
    return np.array(found, np.int64), wanted


def _simulated(model: Model, matched: Matched, draws: int, seed: int) -> Any:
    """A source of virtual trials at settings: ``(setting, draw, value)``."""

    def source(here: Indices) -> Array:
        asked = {name: values[here] for name, values in matched.settings.items()}
        made = model.simulate(Design(asked), trials=draws, seed=seed)
        return _side_by_side(model, made, len(here))

    return source


def _by_other_folds(model: Model, matched: Matched, fold: Indices, draws: int) -> Any:
    """A source of virtual trials of networks of the first split that were trained on a setting.

    As many networks draw at a setting as held it out: those of one member, whose own fold is half
    of all folds away. (It may not have learned from the next ones, either.)
    """
    folds = int(fold.max()) + 1
    networks = int(model.manifest["training"]["members"])
    each = int(model.manifest["training"].get("generators", 1))
    other = (fold + folds // 2) % folds

    def source(here: Indices) -> Array:
        asked = {name: values[here] for name, values in matched.settings.items()}
        trials = -(-draws // each) * networks
        made = model.simulate(Design(asked), trials=trials, seed=SEED)
        found = _side_by_side(model, made, len(here))
        if "member" not in made:
            return found[:, :draws]
        mine = made["member"].values.reshape(len(here), -1) // each == other[here][:, None]
        return np.stack([drawn[own][:draws] for drawn, own in zip(found, mine, strict=True)])

    return source


def _side_by_side(model: Model, made: Any, settings: int) -> Array:
    """All measurements of simulated trials in numbers, ``(setting, draw, value)``."""
    found = [in_numbers(m, made[m.name].values.reshape(-1, *m.shape)) for m in model.measurements]
    whole: Array = np.concatenate(found, axis=1).reshape(
        settings, -1, sum(f.shape[1] for f in found)
    )
    return whole


@dataclass(frozen=True)
class _Looked:
    """Virtual trials at the settings of some real ones.

    Parameters
    ----------
    records
        Some of them, in the measurements' own units, ``(trial, record, value)``.
    clues
        How well they explain the real trial, ``(trial, clue)``.
    """

    records: Array
    clues: Array


def _records(looked: list[_Looked]) -> Array:
    """The virtual trials of both sides, ``(record, value)``."""
    records = np.concatenate([found.records for found in looked])
    return records.reshape(-1, records.shape[2])


def _look(source: Any, side: _Side, rows: Indices, unit: Array) -> _Looked:
    """Hold some trials against virtual ones at their settings."""
    settings, where = np.unique(side.matched.setting[rows], return_inverse=True)
    records = np.empty((len(rows), RECORDS, side.values.shape[1]))
    clues = np.empty((len(rows), CLUES))
    nth = side.matched.occurrence[rows]
    portion = max(1, int(MOST_VALUES / (20 * DRAWS[1] * side.values.shape[1])))
    for start in range(0, len(settings), portion):
        drawn = source(settings[start : start + portion])
        for i in np.flatnonzero((where >= start) & (where < start + portion)):
            own = drawn[where[i] - start]
            # Replicates get draws of their own to be recorded.
            records[i] = own[(nth[i] * RECORDS + np.arange(RECORDS)) % len(own)]
            clues[i] = find_clues(own / unit, side.values[rows[i]] / unit)
    return _Looked(records, clues)


def _nearness(
    virtual: Array, trained: Array, new: Array, setting: Indices, rng: np.random.Generator
) -> tuple[Estimate, Array]:
    """Share of virtual trials nearer to a training trial, and distances to the nearest of them.

    Trials that are nearest to one real trial say the same thing: the bootstrap is over the
    settings of the pairs that they are nearest to.
    """
    (to_trained, first), (to_new, second) = (_nearest(virtual, real) for real in (trained, new))
    tied = np.abs(to_trained - to_new) <= SAME * (to_trained + to_new)
    nearer = np.where(tied, 0.5, to_trained < to_new)
    pair = np.where(to_trained <= to_new, first, second)
    return estimate_mean(nearer, np.ones(len(nearer)), setting[pair], rng), to_trained


def _nearest_of_fold(records: Array, real: Array, fold: Indices) -> Array:
    """Distance from each record ``(trial, record, value)`` to the nearest trial of its fold."""
    found = np.empty(records.shape[:2])
    for each in np.unique(fold):
        here = fold == each
        flat = records[here].reshape(-1, records.shape[2])
        found[here] = _nearest(flat, real[here])[0].reshape(-1, records.shape[1])
    return found


def _nearest(rows: Array, reference: Array) -> tuple[Array, Indices]:
    """Distance from each row to the nearest of the reference, and which one that is."""
    from sklearn.neighbors import NearestNeighbors

    far, which = NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(rows)
    return far[:, 0], which[:, 0]


def _as_bytes(values: Array) -> NDArray[Any]:
    """Each row as one comparable value, in the single precision that virtual trials have."""
    single = np.ascontiguousarray(values.astype(np.float32) + 0.0)  # -0.0 becomes 0.0
    return single.view(np.dtype((np.void, single.dtype.itemsize * single.shape[1]))).ravel()


def _once(rows: NDArray[Any]) -> NDArray[Any]:
    """Those that occur a single time: zeros, counts and categories that recur are no copies."""
    found, count = np.unique(rows, return_counts=True)
    once: NDArray[Any] = found[count == 1]
    return once


def _halves(setting: Indices, rng: np.random.Generator) -> Indices:
    """0 or 1 for each trial, the same for all of a setting."""
    halves: Indices = rng.permutation(setting.max() + 1)[setting] % 2
    return halves


def _difference(
    first: Array,
    first_setting: Indices,
    second: Array,
    second_setting: Indices,
    rng: np.random.Generator,
) -> Estimate:
    """Mean of the first less mean of the second, bootstrapped over the settings of both."""
    a, b = _resampled(first, first_setting, rng), _resampled(second, second_setting, rng)
    low, high = np.quantile(a - b, INTERVAL)
    return Estimate(float(first.mean() - second.mean()), float(low), float(high))


def _resampled(values: Array, setting: Indices, rng: np.random.Generator) -> Array:
    """Means over settings drawn anew, ``(round,)``."""
    _, where = np.unique(setting, return_inverse=True)
    total, number = np.bincount(where, values), np.bincount(where)
    weight = rng.multinomial(len(number), np.full(len(number), 1 / len(number)), ROUNDS)
    means: Array = (weight @ total) / (weight @ number)
    return means
