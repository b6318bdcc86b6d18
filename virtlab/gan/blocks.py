"""What the networks learn from: plain float32 arrays, and the layout that gives them meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MOST_CHANNELS = 4  # more rows than this, side by side, are taken for an image


@dataclass(frozen=True)
class Part:
    """One measurement's place among a trial's values.

    Parameters
    ----------
    name
        The measurement's.
    start, stop
        Its values are columns ``start`` to ``stop - 1``.
    shape
        Lengths of its own dims, values in C order; empty for a scalar.
    latents
        Latents that its head works with; 0: its values are modelled themselves.
    floor
        Many of its values are on a floor, which is 0 here; none is below.
    log
        Mean and standard deviation of the logarithm of what is above the floor.
    gaps
        Some trials miss some of its values, not all.
    """

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    latents: int = 0
    floor: bool = False
    log: tuple[float, float] = (0.0, 1.0)
    gaps: bool = False

    @property
    def channel_axis(self) -> int | None:
        """Own dim whose entries stand for different quantities, if one is short beside the others.

        Two quadratures of 256 samples are a signal of two channels, not an image.
        """
        if len(self.shape) < 2:
            return None
        axis = int(np.argmin(self.shape))
        others = [length for i, length in enumerate(self.shape) if i != axis]
        few = self.shape[axis] <= MOST_CHANNELS and min(others) >= 4 * self.shape[axis]
        return axis if few else None

    @property
    def channels(self) -> int:
        """Values at each place."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def space(self) -> tuple[int, ...]:
        """Lengths of the dims along which neighbours are alike: a signal has one, an image two."""
        return tuple(n for i, n in enumerate(self.shape) if i != self.channel_axis)


@dataclass(frozen=True)
class Tie:
    """Values that no head draws and whose weighted sum is the same in every trial.

    The first follows from the others, and the core leaves it out: its likelihood would dwell on
    what is certain.

    Parameters
    ----------
    columns
        Where they stand.
    weights
        One for each.
    total
        Their weighted sum.
    """

    columns: tuple[int, ...]
    weights: tuple[float, ...]
    total: float


@dataclass(frozen=True)
class Layout:
    """How a trial's values are arranged; all that the networks know of the measurements.

    Parameters
    ----------
    reach
        Farthest from 0 that each value may be drawn, ``(value,)``: members extrapolate to
        settings that they never saw, and must not draw what is absurd there.
    weight
        Weight of each value in the joint distance, shape ``(value,)``: measurements count
        alike however many values they have.
    levels
        Number of levels of each code: a category, or which atom of a scalar (0: none).
    atom
        Value that each level sets, shape ``(level, value)``, levels of all codes in a row.
    replaces
        1 where a level replaces the value by its atom, shape ``(level, value)``.
    level_weight
        Weight of each level's indicator in the joint distance, shape ``(level,)``; 0 for
        atoms, which show in the value itself.
    step
        Width of the uniform noise that makes counts continuous, shape ``(value,)``.
    parts
        Where the values of each measurement stand; a category has none, and no part.
    ties
        Values that follow from others.
    """

    reach: Floats
    weight: Floats
    levels: tuple[int, ...]
    atom: Floats
    replaces: Floats
    level_weight: Floats
    step: Floats
    parts: tuple[Part, ...] = ()
    ties: tuple[Tie, ...] = ()

    @property
    def values(self) -> int:
        """Values per trial."""
        return len(self.reach)

    @property
    def features(self) -> int:
        """Coordinates that the mixture core works in: values themselves, then latents."""
        return len(self.plain) + sum(part.latents for part in self.wide)

    @property
    def wide(self) -> tuple[Part, ...]:
        """Signals and images that have a head, in order."""
        return tuple(part for part in self.parts if part.latents)

    @property
    def plain(self) -> NDArray[np.int32]:
        """Columns of the values that the core models themselves."""
        others = [np.arange(part.start, part.stop) for part in self.wide]
        others += [np.array(tie.columns[:1]) for tie in self.ties]
        return np.setdiff1d(np.arange(self.values), np.concatenate([[], *others])).astype(np.int32)

    def features_of(self, part: Part) -> NDArray[np.int64]:
        """Which features belong to a measurement."""
        if not part.latents:
            return np.flatnonzero((self.plain >= part.start) & (self.plain < part.stop))
        before = [other.latents for other in self.wide if other.start < part.start]
        first = len(self.plain) + sum(before)
        return np.arange(first, first + part.latents)


@dataclass(frozen=True)
class Blocks:
    """Trials as arrays, one row each.

    Parameters
    ----------
    conditions
        Shape ``(trial, feature)``, standardised.
    values
        Shape ``(trial, value)``, scaled; atoms in place, 0 where missing.
    observed
        1 where a value was measured, else 0; shape ``(trial, value)``.
    codes
        Level of each code, -1 where missing; shape ``(trial, code)``.
    setting
        Which setting each trial belongs to, shape ``(trial,)``.
    layout
        What the columns mean.
    weight
        How much each trial counts, ``(trial,)``, above 0; None: all alike.
    """

    conditions: Floats
    values: Floats
    observed: Floats
    codes: NDArray[np.int32]
    setting: NDArray[np.int64]
    layout: Layout
    weight: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def effective(self) -> float:
        """How many trials of equal weight would say as much (Kish 1965)."""
        return float(len(self)) if self.weight is None else effective_size(self.weight)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, ``(trial, …)`` each."""
        names = ("conditions", "values", "observed", "codes", "setting", "weight")
        return {name: array for name in names if (array := getattr(self, name)) is not None}

    def take(self, rows: NDArray[np.intp]) -> Blocks:
        """These trials alone."""
        taken: dict[str, Any] = {name: array[rows] for name, array in self.arrays.items()}
        return replace(self, **taken)


def joined(parts: Sequence[Blocks]) -> Blocks:
    """Trials of one layout, one part after the other."""
    whole: dict[str, Any] = {
        name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays
    }
    return replace(parts[0], **whole)


def effective_size(weight: NDArray[np.float64]) -> float:
    """Kish's effective sample size, ``(sum w)^2 / sum w^2``; at most the number of weights."""
    share = weight / weight.max()  # squares of very small or large weights are no numbers
    return float(share.sum() ** 2 / np.square(share).sum())
