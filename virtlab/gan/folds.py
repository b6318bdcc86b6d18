"""Which trials each member learns from and which are held out for it: split by setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int32]

MANY_SETTINGS = 4000  # with so many, some are kept apart:
APART, MOST_APART = 1 / 20, 500


@dataclass(frozen=True)
class Folds:
    """Row numbers per member, padded to one length by repetition.

    Parameters
    ----------
    train, held
        Shape ``(member, row)``.
    train_count, held_count
        How many of them are real, shape ``(member,)``.
    apart
        Rows that no member learns from or is scored by, ``(row,)``: they judge the ensemble as a
        whole.
    stop, stop_count
        Like `held`: rows whose score ends a member's training and chooses its state. None: those
        of `held` do that, too.
    unseen
        So many folds, one after the other, a member does not learn from.
    """

    train: Indices
    train_count: Indices
    held: Indices
    held_count: Indices
    apart: Indices = field(default_factory=lambda: np.zeros(0, np.int32))
    stop: Indices | None = None
    stop_count: Indices | None = None
    unseen: int = 1

    @property
    def members(self) -> int:
        """Number of members."""
        return len(self.train)

    @property
    def held_mask(self) -> NDArray[np.float32]:
        """1 for real entries of `held`, 0 for padding."""
        return (np.arange(self.held.shape[1]) < self.held_count[:, None]).astype(np.float32)

    def ladder(self, weight: NDArray[np.float64]) -> NDArray[np.float32]:
        """Cumulated shares of each member's training rows in the weights, ``(member, row)``.

        A uniform number falls between two rungs with the upper row's share; the last real row's
        rung, and those of padding, are above 1.
        """
        real = np.arange(self.train.shape[1]) < self.train_count[:, None]
        share = np.where(real, weight[self.train], 0.0)
        rungs = np.cumsum(share, axis=1) / share.sum(axis=1, keepdims=True)
        rungs[np.arange(rungs.shape[1]) >= self.train_count[:, None] - 1] = 2.0
        return rungs.astype(np.float32)

    def repeated(self, times: int) -> Folds:
        """Several networks per member, one after another: all with the member's trials."""
        return self._changed(lambda array: np.repeat(array, times, axis=0))

    def complete(self, rows: int) -> Folds:
        """With all of so many trials that a member does not learn from held out for it.

        Those kept apart join the first member's fold, so that all are held out equally often.
        """
        known = zip(self.train, self.train_count, strict=True)
        out = [np.setdiff1d(np.arange(rows), train[:count]) for train, count in known]
        held = out
        if len(self.apart):
            one = self.held[0, 0]
            never = reduce(np.intersect1d, out)
            held = [own if one in own else np.setdiff1d(own, never) for own in out]
        return Folds(self.train, self.train_count, *_pad(held))

    def some(self, members: slice) -> Folds:
        """Those of some members."""
        return self._changed(lambda array: array[members])

    @property
    def judging(self) -> Folds:
        """Whom each trial is held out for: those kept apart for all, if there are any."""
        if not len(self.apart):
            return self
        count = np.full(self.members, len(self.apart), np.int32)
        return replace(self, held=np.tile(self.apart, (self.members, 1)), held_count=count)

    @property
    def alone(self) -> bool:
        """Whether one member alone did not learn from a trial that is held out for it."""
        held = self.judging
        times = np.bincount(held.held[held.held_mask > 0])
        return self.stop is None and int(times.max()) == 1

    @property
    def stopping(self) -> Folds:
        """With those held out that end a member's training."""
        if self.stop is None or self.stop_count is None:
            return self
        return Folds(self.train, self.train_count, self.stop, self.stop_count, self.apart)

    def _changed(self, change: Callable[[Indices], Indices]) -> Folds:
        """With all that has a row per member changed alike."""
        return replace(
            self,
            train=change(self.train),
            train_count=change(self.train_count),
            held=change(self.held),
            held_count=change(self.held_count),
            stop=None if self.stop is None else change(self.stop),
            stop_count=None if self.stop_count is None else change(self.stop_count),
        )


def split_by_setting(
    setting: NDArray[np.int64],
    *,
    members: int,
    folds: int,
    rng: np.random.Generator,
    max_held: int = 2000,
    judging: int = 1,
    stop: bool = False,
) -> Folds:
    """Hold out whole settings: member ``m`` never sees fold ``m % folds`` of its shuffle.

    Replicates of a setting stay together, so that a held-out score is of settings that were
    never seen. `max_held` trials at most are kept to score a member (drawn at random). Where
    settings are many, some are kept apart from all members: what the ensemble is as a whole, more
    doubtful than each of its members, shows only at settings that none of them has seen.

    As many folds as are `judging`, one after the other, are held out for a member: so many members
    judge a setting together. With `stop` the fold after them ends the member's training, and
    judges nothing: the best of many scores of few trials is the luckiest, and what it chose looks
    better on them than it is.
    """
    names, where = np.unique(setting, return_inverse=True)
    apart = np.zeros(len(names), bool)
    if len(names) >= MANY_SETTINGS:
        count = min(MOST_APART, round(APART * len(names)))
        apart[rng.choice(len(names), count, replace=False)] = True

    def some_of(settings: NDArray[np.bool_]) -> NDArray[np.intp]:
        rows = np.flatnonzero(settings[where])
        if len(rows) > max_held:
            rows = np.sort(rng.choice(rows, max_held, replace=False))
        return rows

    aside = some_of(apart).astype(np.int32)
    train, held, ends = [], [], []
    for member in range(members):
        if member % folds == 0:
            order = rng.permutation(len(names))
        after = (order - member) % folds  # how far a setting's fold comes after the member's own
        train.append(np.flatnonzero((~apart & (after >= judging + stop))[where]))
        held.append(some_of(~apart & (after < judging)))
        if stop:
            ends.append(some_of(~apart & (after == judging)))
    last, last_count = _pad(ends) if stop else (None, None)
    return Folds(
        *_pad(train), *_pad(held), aside, stop=last, stop_count=last_count, unseen=judging + stop
    )


def _pad(rows: list[NDArray[np.intp]]) -> tuple[Indices, Indices]:
    """Stack lists of row numbers, repeating the first to fill up."""
    counts = np.array([len(row) for row in rows], np.int32)
    padded = np.stack([np.concatenate([r, np.full(counts.max() - len(r), r[0])]) for r in rows])
    return padded.astype(np.int32), counts
