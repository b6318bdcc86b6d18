"""How varied the outcomes of a category are: the idea of the Inception Score, for lab data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.compared import Compared
from virtlab.evaluation.matching import Array


@dataclass(frozen=True)
class Diversity:
    """Diversity of one category's outcomes.

    Both numbers of `real` and of `virtual` trials are in effective categories: ``overall`` of all
    outcomes, whatever their setting; ``told_apart`` by the parameters, which is the Inception
    Score (Salimans et al. 2016) with known shares in place of a classifier's. As many virtual
    trials are counted as real ones, so that chance adds alike to both.
    """

    real_overall: float
    virtual_overall: float
    real_told_apart: float
    virtual_told_apart: float


def find_diversity(compared: Compared) -> Diversity:
    """Diversity of real trials, and of one virtual trial for each."""
    seen = ~np.isnan(compared.score)
    setting = compared.setting[seen]
    real, virtual = ((part[seen] > 0).astype(float) for part in (compared.real, compared.one))
    return Diversity(
        _overall(real),
        _overall(virtual),
        _told_apart(real, setting, len(compared.mean)),
        _told_apart(virtual, setting, len(compared.mean)),
    )


def _overall(hot: Array) -> float:
    return float(np.exp(_entropy(hot.mean(axis=0)))) if len(hot) else float("nan")


def _told_apart(hot: Array, setting: NDArray[np.int64], size: int) -> float:
    if not len(hot):
        return float("nan")
    counts = np.stack([np.bincount(setting, column, size) for column in hot.T], axis=1)
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]
    within = float(np.average([_entropy(row) for row in shares], weights=total))
    return float(np.exp(_entropy(hot.mean(axis=0)) - within))


def _entropy(shares: Array) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())
