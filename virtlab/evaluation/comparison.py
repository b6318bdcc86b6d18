"""Virtual trials held against new real ones at the same settings, portion by portion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.domain import VERDICTS, verdicts
from virtlab.evaluation.matching import Array, Matched, in_numbers, match_trials
from virtlab.evaluation.scoring import Compared, Examples, Scored, score
from virtlab.evaluation.two_sample import TwoSample, tell_apart
from virtlab.scores import distance, energy_scores, ranks
from virtlab.trials import Measurement

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model

SEED = 20_260
DRAWS = (100, 400)  # per setting: at least, and as many as time allows
MOST_SCORED = 4e7  # of draws x trials x values: what `DRAWS` is chosen by
MOST_HELD = 2e7  # of draws x settings x values, simulated at once
MOST_AT_ONCE = 4e6  # of draws x trials x values, scored at once
EXAMPLES = 3
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Comparison:
    """New real trials beside virtual ones.

    Parameters
    ----------
    trials, settings
        How many new ones.
    draws, seed
        Virtual trials per setting, and what they were drawn with.
    region, distance
        Of each new setting: inside, edge or outside the training data; how far, in units of
        the training settings' usual gap.
    known
        New settings that the model was trained on.
    measurements
        One `Scored` each.
    two_sample
        Whether a classifier can tell virtual from real.
    """

    trials: int
    settings: int
    draws: int
    seed: int
    region: NDArray[np.object_]
    distance: NDArray[np.float64]
    known: int
    measurements: tuple[Scored, ...]
    two_sample: TwoSample

    @property
    def region_counts(self) -> dict[str, int]:
        """New settings inside, at the edge, outside."""
        return {name: int((self.region == name).sum()) for name in VERDICTS}


def compare(
    model: Model, trials: xr.Dataset, report: Callable[[float], None] | None = None
) -> Comparison:
    """Simulate at the new trials' settings and score what comes out.

    Raises
    ------
    DataError
        The trials are not of the model's kind; see `match_trials`.
    """
    tell = report or (lambda _part: None)
    matched = match_trials(model, trials)
    far = model.domain.distance(matched.conditions)
    region = verdicts(far)
    sizes = [values.shape[1] for values in matched.real.values()]
    budget = MOST_SCORED / (len(matched.setting) * max(sizes))
    draws = int(np.clip(budget, *DRAWS))
    collected = {
        m.name: _Collected.empty(m, matched.real[m.name], len(far)) for m in model.measurements
    }
    shown = _examples(matched.setting)
    portion = max(1, int(MOST_HELD / (draws * sum(sizes))))
    for start in range(0, len(far), portion):
        here = np.arange(start, min(start + portion, len(far)))
        settings = {name: values[here] for name, values in matched.settings.items()}
        virtual = model.simulate(Design(settings), trials=draws, seed=SEED)
        for measurement in model.measurements:
            values = virtual[measurement.name].values.reshape(-1, *measurement.shape)
            drawn = in_numbers(measurement, values).reshape(len(here), draws, -1)
            collected[measurement.name].add(drawn, here, matched, shown)
        tell((start + len(here)) / len(far) * 0.8)
    scored = []
    for done, measurement in enumerate(model.measurements, start=1):
        compared = collected[measurement.name].finish(matched, draws)
        scored.append(score(compared, region, seed=SEED))
        tell(0.8 + 0.1 * done / len(model.measurements))
    apart = tell_apart(
        matched.conditions[matched.setting],
        matched.setting,
        model.measurements,
        matched.real,
        {name: found.one for name, found in collected.items()},
        seed=SEED % 2**30,
    )
    tell(1.0)
    return Comparison(
        trials=len(matched.setting),
        settings=len(far),
        draws=draws,
        seed=SEED,
        region=region,
        distance=far,
        known=int((far == 0).sum()),
        measurements=tuple(scored),
        two_sample=apart,
    )


@dataclass
class _Collected:
    """What is kept of one measurement's draws while portions go by."""

    measurement: Measurement
    real: Array
    score: Array
    rank: Array
    one: Array
    mean: Array
    variance: Array
    quantiles: Array
    examples: list[Examples]
    rng: np.random.Generator

    @classmethod
    def empty(cls, measurement: Measurement, real: Array, settings: int) -> _Collected:
        """Nothing collected yet."""
        trials, width = real.shape
        return cls(
            measurement=measurement,
            real=real,
            score=np.full(trials, np.nan),
            rank=np.full(real.shape, np.nan),
            one=np.full(real.shape, np.nan),
            mean=np.empty((settings, width)),
            variance=np.empty((settings, width)),
            quantiles=np.empty((settings, len(QUANTILES), width)),
            examples=[],
            rng=np.random.default_rng(SEED),
        )

    def add(
        self, drawn: Array, here: NDArray[np.int64], matched: Matched, shown: list[int]
    ) -> None:
        """Take in the draws ``(setting, draw, value)`` of the settings `here`."""
        self.mean[here] = drawn.mean(axis=1)
        self.variance[here] = drawn.var(axis=1, ddof=1)
        self.quantiles[here] = np.quantile(drawn, QUANTILES, axis=1).swapaxes(0, 1)
        rows = np.flatnonzero(np.isin(matched.setting, here))
        rows = rows[~np.isnan(self.real[rows]).all(axis=1)]
        for part in _parts(rows, drawn[0].size):
            draws = drawn[matched.setting[part] - here[0]].swapaxes(0, 1)
            self.score[part] = energy_scores(draws, self.real[part])
            self.rank[part] = ranks(draws, self.real[part], self.rng)
            # One virtual trial for each real one; replicates get different draws.
            pick = matched.occurrence[part] % len(draws)
            self.one[part] = draws[pick, np.arange(len(part))]
        for setting in shown:
            if here[0] <= setting <= here[-1]:
                self.examples.append(
                    Examples(
                        {name: values[setting] for name, values in matched.settings.items()},
                        self.real[matched.setting == setting],
                        drawn[setting - here[0]],
                    )
                )

    def finish(self, matched: Matched, draws: int) -> Compared:
        """Add what the baseline needs of all trials."""
        return Compared(
            measurement=self.measurement,
            real=self.real,
            setting=matched.setting,
            weight=matched.weight,
            score=self.score,
            marginal=_marginal_scores(self.real, matched.weight, draws, self.rng),
            rank=self.rank,
            one=self.one,
            mean=self.mean,
            variance=self.variance,
            quantiles=self.quantiles,
            examples=tuple(self.examples),
        )


def _marginal_scores(real: Array, weight: Array, draws: int, rng: np.random.Generator) -> Array:
    """Score of resampling the other new trials, whatever the setting, ``(trial,)``."""
    found = np.full(len(real), np.nan)
    seen = np.flatnonzero(~np.isnan(real).all(axis=1))
    if len(seen) < 2:
        return found
    count = min(draws, DRAWS[0])
    alike = bool((weight == weight[0]).all())
    share = weight[seen] / weight[seen].sum()
    for part in _parts(np.arange(len(seen)), count * real.shape[1]):
        if alike:
            step = rng.integers(1, len(seen), (count, len(part)))
        else:  # itself is replaced by its neighbour
            step = np.maximum(
                (rng.choice(len(seen), (count, len(part)), p=share) - part) % len(seen), 1
            )
        other = seen[(part + step) % len(seen)]
        found[seen[part]] = _scores_with_gaps(real[other], real[seen[part]])
    return found


def _scores_with_gaps(draws: Array, real: Array) -> Array:
    """As `energy_scores`, for draws that lack values themselves."""
    if not np.isnan(draws).any():
        return energy_scores(draws, real)
    error = np.nanmean([distance(drawn, real) for drawn in draws], axis=0)
    spread = distance(draws, np.roll(draws, 1, axis=0) + np.where(np.isnan(real), np.nan, 0.0))
    scores: Array = error - 0.5 * np.nanmean(spread, axis=0)
    return scores


def _parts(rows: NDArray[np.int64], each: int) -> Iterator[NDArray[np.int64]]:
    """Rows in pieces small enough to be scored at once."""
    size = max(1, int(MOST_AT_ONCE / each))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _examples(setting: NDArray[np.int64]) -> list[int]:
    """A few settings to show, of those with the most trials."""
    counts = np.bincount(setting)
    most = np.flatnonzero(counts == counts.max())
    picked: list[Any] = most[np.linspace(0, len(most) - 1, EXAMPLES + 2).astype(int)[1:-1]].tolist()
    return sorted(set(picked))
