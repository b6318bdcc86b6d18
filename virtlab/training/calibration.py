"""Change the ensemble's noise until its stated coverage is true on held-out settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from virtlab.gan.blocks import Blocks
from virtlab.gan.fit import Fit
from virtlab.gan.predict import Sampler
from virtlab.jury import Jury
from virtlab.scaling import Column

WIDTHS = np.geomspace(0.6, 4.8, 13)
TAILS = (0.0, 0.2, 0.4, 0.6)
LEVELS = (0.5, 0.9)
DRAWS, WIDE_DRAWS = (60, 400), 30  # per trial; a signal or an image has many values that count
DRAWN = 60_000  # values of all trials: few of them are drawn more often
FEWEST_DRAWS = 20
MOST_VALUES = 2e7  # of draws x rows x values, held in memory
# Few settings say little of coverage: with this many, half of what they ask for is done.
HALF_TRUST = 30
# Squared errors of coverage at all `LEVELS`, that chance makes: times the number of settings.
CHANCE = sum(level * (1 - level) for level in LEVELS)
WORTH = 0.0005  # share of what was learned that true intervals may cost


class Noise(NamedTuple):
    """What calibration makes of a measurement's Gaussian noise.

    `width` is a factor on it; `tail` makes rare deviations larger, see
    `virtlab.gan.mixture.with_tails`.
    """

    width: float = 1.0
    tail: float = 0.0


def calibrate(
    fit: Fit, blocks: Blocks, columns: Sequence[Column], *, seed: int, effort: float = 1.0
) -> tuple[Fit, dict[str, Noise]]:
    """Choose each measurement's noise from out-of-fold coverage.

    Members judge only trials at settings that they never saw (split conformal in spirit: Vovk
    et al. 2005; here it is the noise that is set, so that joint draws stay joint), and speak for
    all of them together, who are wider than each; see `virtlab.jury`. Where the shape is wrong,
    no noise makes all intervals true: so only what costs little of the energy score, which is
    proper, is chosen from. The correction is shrunk towards none where few settings support it.
    With less than full `effort` it rests on fewer draws and trials.

    Returns
    -------
    fit, noise
        The fit with its noise changed, and how, for each measurement's name; empty for a
        generator without noise of its own to change.
    """
    if "spread.features" not in fit.weights:
        return fit, {}
    slices, wide = value_slices(columns), blocks.layout.wide
    # What a head draws takes time; its noise was fitted to far more values.
    widths, tails = (WIDTHS[1:6], TAILS[:1]) if wide else (WIDTHS, TAILS)
    most = WIDE_DRAWS if wide else int(np.clip(DRAWN // blocks.values.size, *DRAWS))
    draws, rows = max(FEWEST_DRAWS, round(effort * most)), max_rows(blocks, most, effort)
    sampler = Sampler(fit, blocks, draws=draws, max_rows=rows, seed=seed)
    setting, rng = blocks.setting[sampler.rows], np.random.default_rng(seed)
    real = np.where(blocks.observed > 0, blocks.values, np.nan)[sampler.rows].astype(np.float64)
    weight = None if blocks.weight is None else blocks.weight[sampler.rows]
    evidence = {
        name: _Evidence(real[:, here], setting, weight, rng) for name, here in slices.items()
    }
    settings = len(np.unique(setting))
    found: dict[str, tuple[Noise, float]] = {}
    for tail in tails:
        for width in map(float, widths):
            noise = Noise(width, tail)
            held = sampler.draw(_noised(fit, dict.fromkeys(slices, noise)).weights)
            for name, here in slices.items():
                evidence[name].add(noise, held.values[..., here].astype(np.float64), held.jury)
        for name, here in slices.items():
            drawn = held.values[..., here].astype(np.float64)
            found[name] = evidence[name].truest(drawn, held.jury, CHANCE / settings)
        if all(loss <= CHANCE / settings for _, loss in found.values()):
            break  # heavier tails could do no better
    trust = settings / (settings + HALF_TRUST)
    chosen = {name: Noise(n.width**trust, n.tail * trust) for name, (n, _) in found.items()}
    return _noised(fit, chosen), chosen


@dataclass
class _Evidence:
    """What each noise that was tried made of a measurement, ``(trial, value)``."""

    real: NDArray[np.float64]
    setting: NDArray[np.intp]
    weight: NDArray[np.float64] | None
    rng: np.random.Generator
    tried: list[Noise] = field(default_factory=list)
    errors: list[NDArray[np.float64]] = field(default_factory=list)
    lost: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, noise: Noise, drawn: NDArray[np.float64], jury: Jury) -> None:
        """Take in a jury's draws with some noise, ``(draw, trial, value)``."""
        covered = jury.coverage(drawn, self.real, LEVELS, self.rng, self.weight)
        self.tried.append(noise)
        self.errors.append(np.subtract(covered, LEVELS))
        self.lost.append(jury.energy_scores(drawn, self.real))

    def truest(self, drawn: NDArray[np.float64], jury: Jury, chance: float) -> tuple[Noise, float]:
        """The best of what was tried, beside the last draws elsewhere; see `_truest`."""
        elsewhere = drawn[:, self.rng.permutation(len(self.setting))]
        unlearned = jury.energy_scores(elsewhere, self.real)
        too_much = _too_much(np.array(self.lost), unlearned, self.setting, self.weight)
        return _truest(self.tried, np.array(self.errors), too_much, chance)


def _too_much(
    lost: NDArray[np.float64],
    unlearned: NDArray[np.float64],
    setting: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """How far the score of each noise is above what true intervals may cost, ``(noise,)``.

    They may cost `WORTH` of what was learned, or what is too little to be told from nothing: a
    standard error.

    Parameters
    ----------
    lost
        Energy score of each trial, ``(noise, trial)``; NaN where nothing was measured.
    unlearned
        Scores of draws at other settings, ``(trial,)``.
    setting
        Of each trial: trials of one are no independent evidence.
    weight
        Of each trial.
    """
    seen = np.isfinite(lost).all(axis=0) & np.isfinite(unlearned)
    if not seen.any():
        return np.zeros(len(lost))
    setting = np.unique(setting[seen], return_inverse=True)[1]
    share = np.ones(len(setting)) if weight is None else weight[seen]
    totals = np.bincount(setting, share)
    part, lost = totals / totals.sum(), lost[:, seen]
    means = lost @ share / share.sum()
    best = int(np.argmin(means))
    worth = WORTH * (unlearned[seen] @ share / share.sum() - means[best])
    above = np.stack([np.bincount(setting, share * rise) / totals for rise in lost - lost[best]])
    error = np.sqrt(np.square(part * (above - (above @ part)[:, None])).sum(axis=1))
    too_much: NDArray[np.float64] = above @ part - np.maximum(error, worth)
    return too_much


def _truest(
    tried: Sequence[Noise],
    errors: NDArray[np.float64],
    too_much: NDArray[np.float64],
    chance: float,
) -> tuple[Noise, float]:
    """The noise whose coverage is nearest to what it should be, between widths that were tried.

    And the sum of its squared errors.

    Parameters
    ----------
    tried
        The same widths for each tail.
    errors
        Coverages minus levels, ``(noise, level)``; not finite where nothing was measured: then
        the noise stays.
    too_much
        Noise that costs too much, above 0, is not chosen.
    chance
        What sums of squared errors must differ by for heavier tails to be the better ones.
    """
    if not np.isfinite(errors).all():
        return Noise(), 0.0
    best, least = Noise(), np.inf
    for tail in sorted({noise.tail for noise in tried}):
        mine = np.array([noise.tail == tail for noise in tried])
        widths = np.log([noise.width for noise in tried if noise.tail == tail])
        # With those that were tried: where nothing was learned, the best of them alone is cheap.
        between = np.union1d(np.linspace(widths[0], widths[-1], 50 * len(widths)), widths)
        loss = sum(np.square(np.interp(between, widths, found)) for found in errors[mine].T)
        loss[np.interp(between, widths, too_much[mine]) > 0] = np.inf
        at = int(np.argmin(loss))
        if loss[at] < least - (chance if np.isfinite(least) else 0):
            best, least = Noise(float(np.exp(between[at])), tail), float(loss[at])
    return best, least


def value_slices(columns: Sequence[Column]) -> dict[str, slice]:
    """Where each measurement's numbers stand in a row of values."""
    slices, at = {}, 0
    for column in columns:
        if column.values:
            slices[column.measurement.name] = slice(at, at + column.values)
        at += column.values
    return slices


def max_rows(blocks: Blocks, draws: int, effort: float = 1.0) -> int:
    """Trials whose draws fit into memory, and into the time that is left."""
    most = int(MOST_VALUES / (draws * blocks.layout.values))
    if effort < 1:
        most = min(most, int(effort * len(blocks)))
    return max(50, most)


def _noised(fit: Fit, noise: Mapping[str, Noise]) -> Fit:
    """The fit with each measurement's Gaussian noise changed."""
    layout, members = fit.generator.layout, fit.folds.members
    by_value = np.ones(layout.values, np.float32)
    by_feature, tails = np.ones((2, layout.features), np.float32)
    tails[:] = 0
    for part in layout.parts:
        width, tail = noise[part.name]
        by_value[part.start : part.stop] = width
        by_feature[layout.features_of(part)] = width
        tails[layout.features_of(part)] = tail
    weights = {
        "spread.features": np.tile(by_feature, (members, 1, 1)),
        "spread.values": np.tile(by_value, (members, 1, 1)),
        "spread.tails": np.tile(tails, (members, 1, 1)),
    }
    return replace(fit, weights=fit.weights | weights)
