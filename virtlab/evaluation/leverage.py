"""What any good fit gives away of its trials: the control of the membership attack.

A fit follows the trials that it was made from a little, the more so the fewer they are; nothing is
wrong with that. How much it is on these very trials is shown by a Gaussian process, which cannot
learn by heart: its noise is estimated by the marginal likelihood, and settings are all that it
tells apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from virtlab.evaluation.heldout import HeldOut
from virtlab.evaluation.learners import Lesson, gaussian_process
from virtlab.evaluation.matching import Array, Matched
from virtlab.trials import Measurement

Draw = Callable[[NDArray[np.int64]], Array]


def draw_by_folds(
    kept: HeldOut, measurements: Sequence[Measurement], draws: int, rng: np.random.Generator
) -> tuple[Draw, Draw]:
    """Sources of draws at judged settings: of processes that saw a setting, and that did not.

    Each leaves one fold out, as the model's members do.
    """
    lesson = Lesson.of(kept.matched, measurements)
    conditions = kept.matched.conditions[kept.judged].astype(np.float64)
    fold, folds = kept.fold[kept.judged], int(kept.fold.max()) + 1
    out_of = kept.fold[kept.matched.setting]
    seen, unseen = np.empty((2, len(fold), draws, lesson.values.shape[1]))
    cache: dict[str, object] = {}
    for left_out in range(folds):
        draw = gaussian_process(lesson.some(np.flatnonzero(out_of != left_out)), rng, cache)
        for drawn, judged in ((unseen, left_out), (seen, (left_out - 1) % folds)):
            here = np.flatnonzero(fold == judged)
            if len(here):
                drawn[here] = draw(conditions[here], draws)
    return lambda here: seen[here], lambda here: unseen[here]


def draw_by_whole(
    training: Matched,
    sides: Sequence[Matched],
    measurements: Sequence[Measurement],
    draws: int,
    rng: np.random.Generator,
) -> list[Draw]:
    """Sources of draws at the settings of each side: of a process that saw all of `training`."""
    draw = gaussian_process(Lesson.of(training, measurements), rng, {})

    def at(side: Matched) -> Draw:
        return lambda here: draw(side.conditions[here].astype(np.float64), draws)

    return [at(side) for side in sides]
