"""How many replicates tell a setting from the best one, by playing the comparison through.

The lab would run n trials at each of the two settings and compare their means by a t statistic.
Here the trials are resampled from virtual ones, and so is the statistic's distribution where
nothing differs: noise may be skewed, discrete or heavy-tailed, and no normal is assumed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.spread import Floats, expect

LEVEL = 0.05
"""How often a difference may be claimed where there is none."""
PLAYED = 1000
MOST_REPLICATES = 200
FEW = 16
"""Numbers of replicates that are tried one by one, and before more are."""
REPEATED = 0.1
"""Share of trials equal to another from which values are taken for discrete, or in part so."""


def replicates(
    values: Floats,
    member: NDArray[np.integer],
    against: Floats | float,
    against_member: NDArray[np.integer] | None = None,
    *,
    power: float,
    rng: np.random.Generator,
) -> Floats:
    """Find the smallest number of trials that tells each setting from another, or from a value.

    Expected values are taken for the true ones and differ by what they differ in the virtual
    trials; noise is that of trials of one member.

    Parameters
    ----------
    values, member
        Virtual trials of each setting, ``(setting, trial)``, and who drew them.
    against, against_member
        Those of the setting to compare with, ``(trial,)``: it gets as many replicates; or a value.
    power
        How often the difference should be found, and with the right sign.

    Returns
    -------
    number
        At each setting, ``(setting,)``. Infinite if it is more than `MOST_REPLICATES`, or more
        than the virtual trials there are: these themselves do not tell them apart.
    """
    most = min(MOST_REPLICATES, values.shape[1])
    place = rng.integers(values.shape[1], size=(2, PLAYED, most))
    ladder = _ladder(most)
    few = ladder[ladder <= FEW]
    mean, noise = values.mean(axis=1), _noise(values, member)
    other, other_mean = None, float(np.mean(against))
    if isinstance(against, np.ndarray):
        assert against_member is not None
        other = _noise(against[None], against_member[None])[0]
    found = np.full(len(values), np.inf)
    for at, own in enumerate(noise):
        difference = float(mean[at]) - other_mean
        # few are tried before many
        for numbers in (few, ladder) if difference else ():
            tried = place[:, :, : numbers[-1]]
            theirs = None if other is None else other[tried[1]]
            enough = _power(own[tried[0]], theirs, difference, numbers) >= power
            if enough.any():
                found[at] = numbers[np.argmax(enough)]
                break
    return found


def _power(
    own: Floats, other: Floats | None, difference: float, numbers: NDArray[np.int64]
) -> Floats:
    """Share of the comparisons that find the difference, by number of replicates."""
    departure, error = _mean_and_variance(own, numbers)
    if other is not None:
        other_departure, other_error = _mean_and_variance(other, numbers)
        departure, error = departure - other_departure, error + other_error
    error = np.sqrt(error)
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 / 0: trials that are all alike and do not differ claim nothing
        nothing = np.nan_to_num(np.abs(departure) / error, nan=0.0, posinf=np.inf)
        something = np.nan_to_num(
            np.sign(difference) * (departure + difference) / error,
            nan=0.0,
            posinf=np.inf,
            neginf=-np.inf,
        )
    critical = np.quantile(nothing, 1 - LEVEL, axis=0, method="higher")
    share: Floats = (something > critical).mean(axis=0)
    return share


def _mean_and_variance(noise: Floats, numbers: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean of the first n, and its variance as these n say, ``(played, number)``."""
    starts = np.r_[0, numbers[:-1]]
    noise = noise[:, : numbers[-1]]
    sums = np.cumsum(np.add.reduceat(noise, starts, axis=1), axis=1)
    squares = np.cumsum(np.add.reduceat(noise**2, starts, axis=1), axis=1)
    variance = np.maximum(squares - sums**2 / numbers, 0) / (numbers - 1)
    return sums / numbers, variance / numbers


def _noise(values: Floats, member: NDArray[np.integer]) -> Floats:
    """Departures from the expected value by noise alone, ``(setting, trial)``.

    What members disagree on is taken out by moving their trials towards each other, as far as
    it is more than noise makes of it, but not where values repeat: zeros, counts and limits are
    to stay alike, or a sample of equal ones would look certain.
    """
    members = int(member.max()) + 1
    found = expect(values, member, members)
    departures = found.by_member - values.mean(axis=1, keepdims=True)
    spread = found.by_member.var(axis=1, ddof=1)
    beyond = np.divide(found.ignorance**2, spread, out=np.zeros(len(values)), where=spread > 0)
    ordered = np.sort(values, axis=1)
    repeated = (np.diff(ordered, axis=1) == 0).mean(axis=1) > REPEATED
    moved = departures * np.where(repeated, 0, np.sqrt(beyond))[:, None]
    noise: Floats = values - np.take_along_axis(moved, member.astype(np.intp), axis=1)
    centred: Floats = noise - noise.mean(axis=1, keepdims=True)
    return centred


def _ladder(most: int) -> NDArray[np.int64]:
    """Numbers of replicates to try: all up to `FEW`, then a twelfth more each time."""
    numbers = [*range(2, min(FEW, most) + 1)]
    while numbers and numbers[-1] < most:
        numbers.append(min(most, numbers[-1] + max(1, numbers[-1] // 12)))
    return np.array(numbers, np.int64)
