"""What a peer is given, and how what it learnt is scored: a known-truth task or a real set.

Tasks, scores and real sets lie in ``../shared`` beside the project; they are not part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

SHARED = Path(__file__).resolve().parents[4] / "shared"

HELD_OUT = 0.15
"""Share of the training data that a peer holds out to stop by and to choose its settings on."""

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""One draw per row of the conditions ``(n, features)``: shape ``(n, width)``."""


@dataclass(frozen=True)
class Data:
    """Training data: conditions ``c (n, features)`` and flattened measurements ``y (n, width)``.

    ``categories`` tells which columns of ``c`` are one-hot levels of one parameter.
    ``one_unit`` is true where all entries of ``y`` carry one unit (image, spectrum).
    """

    c: np.ndarray
    y: np.ndarray
    categories: tuple[tuple[int, ...], ...] = ()
    one_unit: bool = False

    @property
    def width(self) -> int:
        return int(self.y.shape[1])

    @property
    def has_atoms(self) -> bool:
        """Whether one exact value holds 5 % of some column: no density can have that."""
        most = max(np.unique(column, return_counts=True)[1].max() for column in self.y.T)
        return bool(most > max(2, 0.05 * len(self.y)))

    def scales(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of ``y``; entries of one unit that hardly vary stay small."""
        deviation = self.y.std(0)
        floor = (0.1 if self.one_unit else 1e-9) * deviation.max()
        return self.y.mean(0), np.maximum(deviation, floor)

    def rows(self, which: np.ndarray) -> Data:
        return Data(self.c[which], self.y[which], self.categories, self.one_unit)

    def split(self, seed: int) -> tuple[Data, Data]:
        """Training and held-out part, drawn by the peer's training seed."""
        order = np.random.default_rng([seed, 15]).permutation(len(self.y))
        held = max(1, round(HELD_OUT * len(order)))
        return self.rows(order[held:]), self.rows(order[:held])

    def folds(self, number: int, seed: int) -> list[tuple[Data, Data]]:
        """Training and held-out part for each fold, drawn by the peer's training seed."""
        fold = np.random.default_rng([seed, 15]).permutation(len(self.y)) % number
        return [(self.rows(fold != k), self.rows(fold == k)) for k in range(number)]


@dataclass(frozen=True)
class Fitted:
    """What a peer learnt.

    ``steps`` counts the gradient steps of the settings kept (0 where there are none), ``capped``
    is true where the last of them still improved the held-out score, ``chosen`` are the settings
    it chose on held-out training data.
    """

    draw: Draw
    steps: int
    capped: bool
    chosen: dict[str, object]


@dataclass(frozen=True)
class Problem:
    """Training data, and the scores of a sampler ``(conditions, seed) -> draws``."""

    data: Data
    score: Callable[[Callable[[np.ndarray, int], np.ndarray]], dict[str, float]]
    truth: Draw | None


def energy_score(draw: Draw, held: Data, seed: int, draws: int = 20) -> float:
    """Energy score of a sampler on held-out trials, in standard deviations (lower is better).

    Gneiting and Raftery, 2007; the fair version, whose expectation is free of ``draws``.
    """
    _, scale = held.scales()
    drawn = draw(np.repeat(held.c, draws, axis=0), np.random.default_rng([seed, 77])) / scale
    drawn = drawn.reshape(len(held.y), draws, -1)
    to_truth = np.linalg.norm(drawn - (held.y / scale)[:, None], axis=2).mean()
    apart = [
        np.linalg.norm(drawn - np.roll(drawn, shift, axis=1), axis=2).mean()
        for shift in range(1, draws)
    ]
    return float(to_truth - 0.5 * np.mean(apart))


def known_truth(name: str) -> Problem:
    """A task of ``shared/bench``: trained on its one training set, scored against the truth."""
    _reach_bench()
    from apart import mean_auc
    from metrics import score_known
    from tasks import TASKS

    task = TASKS[name]
    c, y = task.train_set(0)
    widths = [max(1, len(parameter.levels)) for parameter in task.params]
    ends = np.cumsum(widths)
    categories = tuple(
        tuple(range(end - width, end))
        for parameter, width, end in zip(task.params, widths, ends, strict=True)
        if parameter.levels
    )
    return Problem(
        Data(task.encode(c), y, categories, task.shared_unit),
        lambda sample: score_known(task, sample) | mean_auc(task, sample),
        lambda x, rng: task.sample_flat(rng, task.decode(x)),
    )


def real_set(name: str, split: int) -> Problem:
    """A real set of ``shared/data`` on one of its standard splits, scored on the test rows."""
    _reach_bench()
    from metrics import score_real

    with h5py.File(SHARED / "data" / name / f"{name}.h5") as file:
        c = np.stack([values[:] for values in file["parameters"].values()], axis=1).astype(float)
        (target,) = file["measurements"].values()
        y = target[:].astype(float)[:, None]
        train, test = (file[f"splits/{split}/{part}"][:] for part in ("train", "test"))
    unit = y[train].std(0)
    return Problem(
        Data(c[train], y[train]),
        lambda sample: score_real(c[test], y[test], unit, sample),
        None,
    )


def _reach_bench() -> None:
    bench = SHARED / "bench"
    if not (bench / "tasks.py").exists():
        sys.exit(f"nothing to measure: {bench} is not there (it is no part of this project)")
    for folder in (str(bench), str(Path(__file__).resolve().parents[1])):
        if folder not in sys.path:
            sys.path.append(folder)
