"""Trials that memory does not hold, scaled and shuffled on disk for the networks to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Experiment
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.stream import Stream
from virtlab.storage.scratch import Records, shuffled
from virtlab.training.blocks import make_blocks
from virtlab.training.learnable import Learnable, check_constraints
from virtlab.trials import WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.storage import LargeTrials

PILES = 4  # of the memory granted: a pile that is shuffled at a time
MOST_COUNTED = 2**18  # settings that are counted one by one; more are estimated to 0.2 %
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@contextmanager
def streamed(
    large: LargeTrials,
    experiment: Experiment,
    learnable: Learnable,
    blocks: Blocks,
    *,
    folder: Path,
    seed: int,
    tell: Callable[[str, float], None],
) -> Iterator[tuple[Stream, int]]:
    """Scale all trials as the sample was, and shuffle them into a scratch file.

    Parameters
    ----------
    large
        The trials.
    experiment
        Whose they are.
    learnable, blocks
        What was learned from their sample, and the sample itself.
    folder
        Where the scratch file goes; it is gone at the end, whatever happens.
    seed
        Decides the order.
    tell
        Called with words and the share that is done.

    Yields
    ------
    stream, settings
        The trials, and how many distinct settings they have.

    Raises
    ------
    VirtlabError
        A setting that cannot be encoded, or no room on the disk.
    """
    records = _Records(learnable, blocks)
    settings = DistinctCount()
    measurements = [column.measurement for column in learnable.columns]

    def rows() -> Iterator[Records]:
        done = 0
        for part in large.parts():
            check_constraints(part, experiment, measurements, learnable.parameters)
            conditions = learnable.encode(part, experiment)
            keys = setting_keys(conditions)
            settings.add(keys)
            scaled = make_blocks(part, learnable.columns, conditions, keys, blocks.layout)
            if WEIGHT in part:  # as it is: its mean over a part says nothing
                scaled = replace(scaled, weight=part[WEIGHT].values)
            yield records.pack(scaled)
            done += len(keys)
            share = done / large.trials
            tell(f"shuffling on disk: {done:,} of {large.trials:,} trials", share)

    with shuffled(
        rows(),
        records.dtype,
        large.trials,
        folder=folder,
        memory=large.memory // PILES,
        rng=np.random.default_rng([seed, 1]),  # 0 drew the sample
    ) as found:
        known = np.zeros(learnable.settings, np.int64)
        known[learnable.setting] = setting_keys(learnable.conditions)
        read = found.read
        stream = Stream(lambda start, count: records.unpack(read(start, count)), len(found), known)
        try:
            yield stream, settings.estimate
        finally:
            stream.close()


@dataclass(frozen=True)
class _Records:
    """Trials of `Blocks` as records of one size, and back."""

    learnable: Learnable
    blocks: Blocks

    @property
    def dtype(self) -> np.dtype[Any]:
        """A record: what was observed takes one bit a value."""
        fields = []
        for name, array in self.blocks.arrays.items():
            kind, shape = array.dtype.newbyteorder("<"), array.shape[1:]
            if name == "observed":
                kind, shape = np.dtype("u1"), (-(-shape[0] // 8),)
            fields.append((name, kind, shape))
        return np.dtype(fields)

    def pack(self, blocks: Blocks) -> Records:
        """Records of trials."""
        found = np.empty(len(blocks), self.dtype)
        for name, array in blocks.arrays.items():
            found[name] = np.packbits(array > 0, axis=1) if name == "observed" else array
        return found

    def unpack(self, records: Records) -> Blocks:
        """Trials of records."""
        arrays: dict[str, Any] = {name: records[name] for name in self.blocks.arrays}
        seen = np.unpackbits(records["observed"], axis=1, count=self.blocks.values.shape[1])
        return replace(self.blocks, **arrays | {"observed": seen.astype(np.float32)})


def setting_keys(conditions: Floats) -> NDArray[np.int64]:
    """A 64-bit hash of each setting's conditions, ``(trial,)``: the same wherever it stands.

    Two of a million settings share one with a probability of 3e-8.
    """
    words = np.ascontiguousarray(conditions + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0
    found = np.zeros(len(words), np.uint64)
    for column in words.T:
        found = _mixed(found ^ column.astype(np.uint64))
    return found.view(np.int64)


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64 bits over all 64-bit numbers, one to one (splitmix64, Steele et al. 2014)."""
    step, first, second = (np.uint64(number) for number in _MIX)
    keys = keys + step
    keys = (keys ^ (keys >> np.uint64(30))) * first
    keys = (keys ^ (keys >> np.uint64(27))) * second
    return keys ^ (keys >> np.uint64(31))


@dataclass
class DistinctCount:
    """How many distinct keys there are, of any number, in bounded memory.

    Keys are spread evenly over all 64-bit numbers: from the place of the k-th least follows how
    many there are (k minimum values, Bar-Yossef et al. 2002). Exact up to `most`.
    """

    most: int = MOST_COUNTED
    least: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add(self, keys: NDArray[np.int64]) -> None:
        """Go on with some keys, of which any may have come before."""
        self.least = np.union1d(self.least, keys.view(np.uint64))[: self.most]

    @property
    def estimate(self) -> int:
        """Distinct keys so far."""
        if len(self.least) < self.most:
            return len(self.least)
        return round((self.most - 1) / (float(self.least[-1]) / 2.0**64))
