"""How much the held-out score worsens where one parameter is shuffled among the trials."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from virtlab.gan.batches import TrainingSet
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.fit import Fit
from virtlab.gan.judge import Judge

DRAWS, DRAWS_OF_HEADS = 32, 8


def relevance(
    fit: Fit, blocks: Blocks, shuffled: Mapping[str, Floats], seed: int
) -> dict[str, tuple[float, float]]:
    """Permutation importance (Breiman 2001; Fisher et al. 2019), on held-out settings.

    Parameters
    ----------
    fit
        The ensemble.
    blocks
        The trials that it was fitted on.
    shuffled
        Conditions with one parameter shuffled, ``(trial, feature)``, by the parameter's name.
    seed
        Of the draws.

    Returns
    -------
    relevance
        By name: rise of the energy score in units of what ignoring all parameters costs (0:
        irrelevant, 1: all there is), and its standard error over settings.
    """
    judge = Judge(fit.generator, TrainingSet(blocks), fit.folds, seed)
    draws = DRAWS_OF_HEADS if blocks.layout.wide else DRAWS
    start = judge.row_scores(fit.weights, draws)
    unit = judge.mean_by_setting(_worst(judge, start), blocks.setting)[0]
    found = {}
    for name, conditions in shuffled.items():
        score = judge.row_scores(fit.weights, draws, conditions[fit.folds.held])
        rise, error = judge.mean_by_setting(score - start, blocks.setting)
        found[name] = (rise / unit, error / unit) if unit > 0 else (0.0, np.inf)
    return found


def _worst(judge: Judge, start: NDArray[np.float64]) -> NDArray[np.float64]:
    """What ignoring all parameters costs each row."""
    return judge.marginal_scores() - start
