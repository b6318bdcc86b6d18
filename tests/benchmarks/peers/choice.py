"""How the trained peers choose settings and steps: on held-out training trials alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from problem import Data, Draw, Fitted, energy_score

FEW, FOLDS = 200, 6
"""Below this many trials one held-out part says too little: folds instead, then all trials."""


@dataclass(frozen=True)
class Trained:
    """A sampler, the steps until it was kept, and whether the cap stopped it while it improved.

    ``loss`` is the held-out loss where it can be compared over settings, else None: the choice
    is then by the energy score.
    """

    draw: Draw
    steps: int
    capped: bool
    loss: float | None = None


Train = Callable[[dict, Data, Data | None, int, int], Trained]
"""``(settings, train, held, seed, max_steps)``: stop by ``held``, without it at ``max_steps``."""


def choose(train: Train, settings: Sequence[dict], data: Data, seed: int, max_steps: int) -> Fitted:
    """Train with each of ``settings`` and keep that of the lowest held-out loss or energy score.

    With few trials the score is the mean over folds, and the peer is trained again on all trials
    for the median of the folds' steps.
    """
    few = len(data.y) < FEW
    splits = data.folds(FOLDS, seed) if few else [data.split(seed)]
    tried: list[tuple[float, dict, list[Trained]]] = []
    for one in settings:
        trained = [train(one, held_in, held, seed, max_steps) for held_in, held in splits]
        scores = [
            energy_score(kept.draw, held, seed) if kept.loss is None else kept.loss
            for kept, (_, held) in zip(trained, splits, strict=True)
        ]
        tried.append((float(np.mean(scores)), one, trained))
    _, best, trained = min(tried, key=lambda each: each[0])
    capped = any(one.capped for one in trained)
    kept = trained[0]
    if few:
        steps = max(1, int(np.median([one.steps for one in trained])))
        kept = train(best, data, None, seed, steps)
    return Fitted(kept.draw, kept.steps, capped, dict(best))
