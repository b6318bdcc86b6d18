"""Minibatches of trials that memory does not hold, read ahead while the networks learn."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.batches import Batch, Columns, columns_of, dequantising_noise
from virtlab.gan.blocks import Blocks, effective_size, joined
from virtlab.gan.stages import SEEDS_APART, Draw, Feed, Minibatches

AHEAD = 4  # steps that are ready before they are needed
SPARE = 1.2  # rows read for each that a member is expected to learn from
LEAST_SHARE = 1 / 16  # of rows, that a member is expected to learn from


@dataclass
class _Reading:
    """Which feed is being read, and the step that it comes to next."""

    feed: Feed = ()
    step: int = -1
    turns: int = 0


@dataclass(frozen=True)
class Stream:
    """Trials in random order that memory does not hold.

    Parameters
    ----------
    read
        ``read(start, count)`` gives the trials from `start` on; after the last comes the first.
        Their `setting` is a key: a 64-bit hash.
    trials
        How many there are.
    known
        Keys of the settings of the blocks in memory, by their number there, ``(setting,)``.
    """

    read: Callable[[int, int], Blocks]
    trials: int
    known: NDArray[np.int64]
    _readings: list[_Reading] = field(default_factory=list, compare=False)

    def opened(self) -> _Reading:
        """What one reader of the trials stands at."""
        self._readings.append(_Reading())
        return self._readings[-1]

    def close(self) -> None:
        """Let go of all that is read ahead.

        An iterator that lives on when Python ends waits for its thread, which waits for Python.
        """
        for reading in self._readings:
            reading.feed, reading.step = (), -1


@dataclass(frozen=True, kw_only=True)
class StreamedMinibatches(Minibatches):
    """Rows of a stream for every member, a pure function of seed and step.

    The trials lie in random order already. So each member starts somewhere and reads on, past
    those that are held out for it: it meets every other one once before any for a second time.
    Where trials have weights, rows are drawn by them from somewhat more than are needed.

    Parameters
    ----------
    data, folds, size, seed
        As of `Minibatches`, of a sample of the trials in memory: what `at` still gives.
    stream
        All trials.
    starts, strides
        Where each member starts, and how far it goes on at a minibatch; ``(member,)``.
    learned
        Whether each member learns from each setting of `Stream.known`, ``(member, setting)``.
    fold, shuffle
        Which of how many folds each member holds out, of which shuffle of the settings: decides
        for settings that the sample does not know, ``(member,)``.
    per_shuffle
        Folds that each shuffle is cut into.
    """

    stream: Stream
    starts: NDArray[np.int64]
    strides: NDArray[np.float64]
    learned: NDArray[np.bool_]
    fold: NDArray[np.int64]
    shuffle: NDArray[np.int64]
    per_shuffle: int
    _reading: _Reading = field(compare=False)

    @property
    def compiles(self) -> bool:
        """XLA cannot read."""
        return False

    def feed(self, first: int, steps: int, turns: int) -> Feed:
        """An iterator over the steps from `first` on: the one before goes on, if it can."""
        if (first, turns) != (self._reading.step, self._reading.turns):
            shapes = {
                name: tf.TensorSpec(column.shape, tf.float32)
                for name, column in self._columns(first, turns).items()
            }
            dataset = tf.data.Dataset.from_generator(
                lambda: (self._columns(step, turns) for step in itertools.count(first)),
                output_signature=shapes,
            )
            self._reading.feed = iter(dataset.prefetch(AHEAD))
        self._reading.step, self._reading.turns = first + steps, turns
        return self._reading.feed

    def drawn(self, step: tf.Tensor, feed: Feed) -> Draw:
        """The minibatches of a step, by turn: the feed comes to that step."""
        found, shape = feed.get_next(), (self.folds.members, self.size)

        def of(turn: int) -> Batch:
            seed = self.seed + SEEDS_APART * turn
            noise = dequantising_noise(self.data.layout, shape, seed, step, self.random)
            return self.data.batch({name: column[turn] for name, column in found.items()}, noise)

        return of

    def _columns(self, step: int, turns: int) -> Columns:
        """What the networks see of a step's rows, ``(turn, member, row, …)`` each."""
        members = range(self.folds.members)
        places = [(turns * step + turn, member) for turn in range(turns) for member in members]
        rows = joined([self._rows(which, member) for which, member in places])
        shape = (turns, self.folds.members, self.size, -1)
        return {name: column.reshape(shape) for name, column in columns_of(rows).items()}

    def _rows(self, which: int, member: int) -> Blocks:
        """The rows that a member learns from at one of its minibatches."""
        at = int(self.starts[member] + which * self.strides[member])
        count = min(int(SPARE * self.strides[member]) + self.size // 4, self.stream.trials)
        for _ in range(-(-self.stream.trials // count)):
            rows = self.stream.read(at % self.stream.trials, count)
            mine = np.flatnonzero(self._learns(member, rows.setting))
            if len(mine):
                return rows.take(self._picked(rows, mine, which, member))
            at += count
        raise AssertionError("what a member learns from in the sample stands in the stream, too")

    def _picked(
        self, rows: Blocks, mine: NDArray[np.intp], which: int, member: int
    ) -> NDArray[np.intp]:
        """As many rows as a minibatch has: the first, or by their weights."""
        if rows.weight is None:
            return np.resize(mine, self.size)
        number = member + (self.among[0] if self.among else 0)
        rng = np.random.default_rng([self.seed, which, number])
        share = rows.weight[mine] / rows.weight[mine].sum()
        return rng.choice(mine, self.size, p=share)

    def _learns(self, member: int, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a member learns from trials at settings of these keys."""
        known = self.stream.known
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        bits = keys >> (8 * (self.shuffle[member] % 7))  # each shuffle looks at others of them
        elsewhere = bits % self.per_shuffle != self.fold[member]
        return np.where(known[place] == keys, self.learned[member, place], elsewhere)


def streamed(
    batches: Minibatches,
    stream: Stream,
    setting: NDArray[np.int64],
    per_shuffle: int,
    generators: int,
) -> StreamedMinibatches:
    """Minibatches of all trials from those of a sample.

    Parameters
    ----------
    batches
        Of the sample.
    stream
        All trials.
    setting
        Of each trial of the sample.
    per_shuffle
        Folds that each shuffle of the settings is cut into.
    generators
        Networks in a row that have the same trials.
    """
    folds, order = batches.folds, np.argsort(stream.known)
    learned = np.zeros((folds.members, len(stream.known)), bool)
    for member, rows in enumerate(folds.train):
        learned[member, setting[rows]] = True
    share = folds.train_count / len(setting)
    if batches.data.weight is not None:
        share = share * effective_size(batches.data.weight) / len(setting)
    first, whole = batches.among or (0, folds.members)
    numbers = np.arange(first, first + folds.members)
    shuffle, fold = np.divmod(numbers // generators, per_shuffle)
    starts = np.random.default_rng(batches.seed).integers(stream.trials, size=whole)
    return StreamedMinibatches(
        batches.data,
        folds,
        batches.size,
        batches.seed,
        batches.among,
        stream=replace(stream, known=stream.known[order]),
        starts=starts[numbers],
        strides=batches.size / np.maximum(share, LEAST_SHARE),
        learned=learned[:, order],
        fold=fold,
        shuffle=shuffle,
        per_shuffle=per_shuffle,
        _reading=stream.opened(),
    )
