"""Does a model repeat the trials that it was trained on? Judged against trials it never saw.

Three questions, each with a control. Do virtual trials equal a training trial more often than new
real trials do? Do they lie nearer to training trials than to as many new ones (Platzer &
Reutterer 2021)? Can the model tell whether a trial was among those it was trained on, from how
well its virtual trials explain it (membership inference: Yeom et al. 2018; Hilprecht et al. 2019;
Chen et al. 2020)? A new trial is paired with the training trial of the nearest setting, so that
both kinds come from the same settings; a model that has only learned p(measurement | parameters)
treats them alike, however good or bad it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.evaluation.estimates import INTERVAL, ROUNDS, Estimate, estimate_mean
from virtlab.evaluation.matching import Array, Matched, in_numbers
from virtlab.scores import distance, energy_scores

if TYPE_CHECKING:
    from virtlab.simulation import Model

Indices = NDArray[np.int64]

SEED = 20_261
FEWEST_PAIRS, FEWEST_SETTINGS = 20, 5
PAIRS = (100, 1000)
DRAWS = (20, 100)  # per setting
MOST_VALUES = 4e7  # simulated: what `PAIRS` and `DRAWS` are chosen by
RECORDS = 5  # virtual trials per pair and side that are looked for among real ones
SAME = 1e-9  # relative: as far from both
CLEAR_NEARNESS, CLEAR_ADVANTAGE = 0.7, 0.75  # from here on it is memory, not a trace of it

NOTHING, SOME, MEMORISES, UNKNOWN = (
    "nothing found",
    "some memory",
    "memorises",
    "cannot be told",
)


@dataclass(frozen=True)
class Audit:
    """What was found.

    Parameters
    ----------
    verdict
        ``nothing found``, ``some memory``, ``memorises`` or ``cannot be told``.
    words
        The verdict in a sentence, with its reason.
    pairs
        Training trials, and as many new ones, that it rests on.
    copies
        Share of virtual trials that equal a training trial which no other one equals, above that
        of new real trials.
    nearness
        Share of virtual trials that are nearer to a training trial than to a new one; 0.5 if
        nothing is remembered.
    advantage
        Of the attack that guesses who was trained on: true less false positive rate; 0 if
        nothing is remembered, 1 if it is always right.
    gaps
        Median distance to the nearest training trial, in standard deviations: of virtual and of
        new real trials; where virtual ones are as near as new ones, none is remembered.
    """

    verdict: str
    words: str
    pairs: int
    copies: Estimate | None = None
    nearness: Estimate | None = None
    advantage: Estimate | None = None
    gaps: tuple[float, float] | None = None


def audit(model: Model, training: Matched | None, new: Matched | None) -> Audit:
    """Look for training trials in what a model simulates.

    Parameters
    ----------
    training
        The trials that it was trained on; None: they are not at hand.
    new
        Trials of the same lab that it never saw; None: there are none.
    """
    if training is None or new is None:
        keeps = "the trials that it was trained on, and the model file keeps none"
        return _unknown(
            f"needs {keeps if training is None else 'trials that it never saw: --data'}"
        )
    rng = np.random.default_rng(SEED)
    sides = [_Side.of(model, trials) for trials in (training, new)]
    unit = _units(sides[0])
    width = sides[0].values.shape[1]
    most = int(np.clip(MOST_VALUES / (2 * width * DRAWS[0]), *PAIRS))
    rows = _pair(sides[0], sides[1], most, rng)
    pairs = len(rows[0])
    settings = min(len(np.unique(s.matched.setting[r])) for s, r in zip(sides, rows, strict=True))
    if pairs < FEWEST_PAIRS or settings < FEWEST_SETTINGS:
        return _unknown(
            f"{pairs} complete new trials at {settings} settings inside the data; needs "
            f"{FEWEST_PAIRS} at {FEWEST_SETTINGS}",
            pairs,
        )
    draws = int(np.clip(MOST_VALUES / (2 * pairs * width), *DRAWS))
    looked = [
        _look(model, side, chosen, unit, draws, SEED + i)
        for i, (side, chosen) in enumerate(zip(sides, rows, strict=True))
    ]
    return _judge(_Evidence.of(sides, rows, looked, unit, rng), pairs)


@dataclass(frozen=True)
class _Side:
    """Training or new trials: all measurements side by side, and who is complete and inside."""

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


def _units(training: _Side) -> Array:
    """What each value is divided by, so that distances count measurements alike, ``(value,)``."""
    spread, pieces, at = training.values[training.usable].var(axis=0), [], 0
    for width in training.widths:
        typical = np.sqrt(spread[at : at + width].mean()) or 1.0
        pieces.append(np.full(width, typical * np.sqrt(width * len(training.widths))))
        at += width
    return np.concatenate(pieces)


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


@dataclass(frozen=True)
class _Looked:
    """Virtual trials at the settings of some real ones, ``(trial, …)``.

    Parameters
    ----------
    records
        Some of them, in the measurements' own units, ``(trial, record, value)``.
    clues
        How well they explain the real trial, lower is better, ``(trial, clue)``: distance of the
        nearest one, energy score, and both in units of what virtual trials have of each other.
    """

    records: Array
    clues: Array


def _look(model: Model, side: _Side, rows: Indices, unit: Array, draws: int, seed: int) -> _Looked:
    """Simulate at the settings of some trials, and hold the trials against what comes out."""
    settings, where = np.unique(side.matched.setting[rows], return_inverse=True)
    # Replicates get draws of their own to be recorded.
    records = np.empty((len(rows), RECORDS, side.values.shape[1]))
    clues = np.empty((len(rows), 4))
    portion = max(1, int(MOST_VALUES / (10 * draws * side.values.shape[1])))
    nth = side.matched.occurrence[rows]
    for start in range(0, len(settings), portion):
        here = settings[start : start + portion]
        asked = {name: values[here] for name, values in side.matched.settings.items()}
        made = model.simulate(Design(asked), trials=draws, seed=seed)
        drawn = np.concatenate(
            [
                in_numbers(m, made[m.name].values.reshape(-1, *m.shape)).reshape(
                    len(here), draws, -1
                )
                for m in model.measurements
            ],
            axis=2,
        )
        for i in np.flatnonzero((where >= start) & (where < start + portion)):
            own = drawn[where[i] - start]
            records[i] = own[(nth[i] * RECORDS + np.arange(RECORDS)) % draws]
            clues[i] = _clues(own / unit, side.values[rows[i]] / unit)
    return _Looked(records, clues)


def _clues(drawn: Array, real: Array) -> Array:
    """How well draws ``(draw, value)`` explain a real trial ``(value,)``."""
    away = distance(drawn, real)
    apart = distance(drawn, np.roll(drawn, 1, axis=0))
    nearest, usual = away.min(), np.median(apart) + 1e-12
    score = energy_scores(drawn[:, None], real[None])[0]
    return np.array([nearest, score, nearest / usual, score / usual])


@dataclass(frozen=True)
class _Evidence:
    """The three numbers and the distances behind them; see `Audit`."""

    copies: Estimate
    nearness: Estimate
    advantage: Estimate
    gaps: tuple[float, float]

    @classmethod
    def of(
        cls,
        sides: list[_Side],
        rows: tuple[Indices, Indices],
        looked: list[_Looked],
        unit: Array,
        rng: np.random.Generator,
    ) -> _Evidence:
        settings = [s.matched.setting[r] for s, r in zip(sides, rows, strict=True)]
        real = [side.values[chosen] / unit for side, chosen in zip(sides, rows, strict=True)]
        records = np.concatenate([found.records for found in looked])
        # Two sides have settings of their own: the same number means another one.
        setting = np.concatenate([settings[0], settings[1] + settings[0].max() + 1])
        flat = records.reshape(-1, records.shape[2])
        nearness, to_training = _nearness(flat / unit, real[0], real[1], settings[0], rng)
        single = _once(_rows_as_bytes(sides[0].values))
        equal = np.isin(_rows_as_bytes(flat), single).reshape(len(records), -1).mean(axis=1)
        alike = np.isin(_rows_as_bytes(sides[1].values[rows[1]]), single).astype(float)
        guessed = _guess([found.clues for found in looked], settings, rng)
        return cls(
            copies=_difference(equal, setting, alike, settings[1], rng),
            nearness=nearness,
            advantage=_difference(guessed[0], settings[0], guessed[1], settings[1], rng),
            gaps=(float(np.median(to_training)), float(np.median(_nearest(real[1], real[0])[0]))),
        )


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


def _nearest(rows: Array, reference: Array) -> tuple[Array, Indices]:
    """Distance from each row to the nearest of the reference, and which one that is."""
    from sklearn.neighbors import NearestNeighbors

    far, which = NearestNeighbors(n_neighbors=1).fit(reference).kneighbors(rows)
    return far[:, 0], which[:, 0]


def _rows_as_bytes(values: Array) -> NDArray[Any]:
    """Each row as one comparable value, in the single precision that virtual trials have."""
    single = np.ascontiguousarray(values.astype(np.float32) + 0.0)  # -0.0 becomes 0.0
    return single.view(np.dtype((np.void, single.dtype.itemsize * single.shape[1]))).ravel()


def _once(rows: NDArray[Any]) -> NDArray[Any]:
    """Those that occur a single time: zeros, counts and categories that recur are no copies."""
    found, count = np.unique(rows, return_counts=True)
    once: NDArray[Any] = found[count == 1]
    return once


def _guess(
    clues: list[Array], settings: list[Indices], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Whether the attack takes each trial, trained on and new, for one that was trained on.

    The clue and its threshold are chosen on half of the settings and used on the other half:
    chosen where they are used, they would find an advantage in anything.
    """
    halves = [rng.permutation(s.max() + 1)[s] % 2 for s in settings]
    guessed = [np.empty(len(found)) for found in clues]
    for half in (0, 1):
        learn = [found[side != half] for found, side in zip(clues, halves, strict=True)]
        clue, threshold = _best(*learn)
        for found, side, guess in zip(clues, halves, guessed, strict=True):
            guess[side == half] = found[side == half, clue] <= threshold
    return guessed[0], guessed[1]


def _best(trained: Array, new: Array) -> tuple[int, float]:
    """The clue and the threshold with the largest true less false positive rate."""
    best = (-1.0, 0, -np.inf)
    for clue in range(trained.shape[1]):
        values = np.sort(np.concatenate([trained[:, clue], new[:, clue]]))
        rates = [
            np.searchsorted(np.sort(side[:, clue]), values, side="right") / max(len(side), 1)
            for side in (trained, new)
        ]
        gain = rates[0] - rates[1]
        at = int(gain.argmax())
        best = max(best, (float(gain[at]), clue, float(values[at])))
    return best[1], best[2]


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


def _judge(found: _Evidence, pairs: int) -> Audit:
    """The verdict and its words."""
    copies, nearness, advantage = found.copies, found.nearness, found.advantage
    signs = []
    if copies.low > 0:
        signs.append(
            f"{copies.value:.1%} of virtual trials, more than of new real ones, are exact copies"
        )
    if nearness.low > 0.5:
        signs.append(
            f"{nearness.value:.0%} of virtual trials are nearer to a training trial than to a new "
            "one"
        )
    if advantage.low > 0:
        signs.append(
            "training trials are explained better than new ones: who was trained on can be "
            f"guessed with an advantage of {_interval(advantage)}, 1 being certainty"
        )
    strong = (
        copies.low > 0
        or (nearness.low > 0.5 and nearness.value >= CLEAR_NEARNESS)
        or (advantage.low > 0 and advantage.value >= CLEAR_ADVANTAGE)
    )
    verdict = MEMORISES if strong else SOME if signs else NOTHING
    words = (
        f"memorisation: {verdict}: {'; '.join(signs)}"
        if signs
        else f"memorisation: {verdict} in {pairs:,} training trials held against as many new "
        f"ones (attack advantage {_interval(advantage)}, {nearness.value:.0%} nearer to training)"
    )
    return Audit(verdict, words, pairs, copies, nearness, advantage, found.gaps)


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def _unknown(why: str, pairs: int = 0) -> Audit:
    return Audit(UNKNOWN, f"memorisation: {UNKNOWN}: {why}", pairs)
