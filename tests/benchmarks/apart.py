"""How well a classifier tells draws from the truth, by more draws than the benchmark's own.

Truth against truth its AUC of 2,000 and 2,000 rows has a standard deviation of some 0.01 (one
scalar; `peers --peers oracle`): as much as the best methods differ by. So the mean of several, each
of other rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

ROWS, TIMES, TIMES_WIDE, WIDE = 2000, 8, 2, 50


def mean_auc(task: Any, sample: Callable[[np.ndarray, int], np.ndarray]) -> dict[str, float]:
    """Mean AUC of a sampler ``(conditions, seed) -> draws`` on a task, and its standard error."""
    from metrics import c2st_auc

    times = TIMES if task.dim < WIDE else TIMES_WIDE  # each takes a minute there
    rng = np.random.default_rng(2024)
    real, asked = (task.sample_params(rng, times * ROWS) for _ in range(2))
    truth = task.sample_flat(rng, real)
    drawn = np.nan_to_num(np.asarray(sample(task.encode(asked), 2024), float))
    parts = (
        np.split(array, times) for array in (task.encode(real), truth, task.encode(asked), drawn)
    )
    found = [c2st_auc(*part, seed=i) for i, part in enumerate(zip(*parts, strict=True))]
    return {
        "mean_c2st": float(np.mean(found)),
        "mean_c2st_se": float(np.std(found, ddof=1) / np.sqrt(times)),
    }
