"""Membership inference: tells whether a trial was among those that a model was trained on.

An attacker sees the trial and virtual trials at its setting, and takes it for a training trial
where they explain it well (Hilprecht et al. 2019; Chen et al. 2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from virtlab.scores import distance, energy_scores

Array = NDArray[np.float64]

CLUES = 4


def find_clues(drawn: Array, real: Array) -> Array:
    """How well draws ``(draw, value)`` explain a real trial ``(value,)``; lower is better.

    Returns
    -------
    clues
        Distance of the nearest draw, energy score, and both in units of how far draws are from
        each other, ``(4,)``.
    """
    away = distance(drawn, real)
    apart = distance(drawn, np.roll(drawn, 1, axis=0))
    nearest, usual = away.min(), np.median(apart) + 1e-12
    score = energy_scores(drawn[:, None], real[None])[0]
    return np.array([nearest, score, nearest / usual, score / usual])


def guess(clues: list[Array], halves: list[NDArray[np.int64]]) -> list[Array]:
    """Tell whether the attack takes each trial, trained on and never seen, for a training trial.

    The clue and its threshold are chosen on one half and used on the other: chosen where they are
    used, they would find an advantage in anything.

    Parameters
    ----------
    clues
        Of trials trained on, and of others, ``(trial, clue)``.
    halves
        0 or 1 for each trial, alike for trials of one setting.
    """
    guessed = [np.empty(len(found)) for found in clues]
    for half in (0, 1):
        learn = [found[side != half] for found, side in zip(clues, halves, strict=True)]
        clue, threshold = _best(learn[0], learn[1])
        for found, side, told in zip(clues, halves, guessed, strict=True):
            told[side == half] = found[side == half, clue] <= threshold
    return guessed


def _best(trained: Array, new: Array) -> tuple[int, float]:
    """The clue and the threshold with the largest true less false positive rate."""
    best = (-1.0, 0, -np.inf)
    for clue in range(CLUES):
        values = np.sort(np.concatenate([trained[:, clue], new[:, clue]]))
        rates = [
            np.searchsorted(np.sort(side[:, clue]), values, side="right") / max(len(side), 1)
            for side in (trained, new)
        ]
        gain = rates[0] - rates[1]
        at = int(gain.argmax())
        best = max(best, (float(gain[at]), clue, float(values[at])))
    return best[1], best[2]
