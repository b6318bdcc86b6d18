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
    """

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]

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
class Layout:
    """How a trial's values are arranged; all that the networks know of the measurements.

    Parameters
    ----------
    basis
        Values are ``features @ basis``; shape ``(feature, value)``. The identity for
        scalars, principal components of unit variance for signals and images.
    outside
        Standard deviation of what the basis leaves of each value, ``(value,)``; 0: nothing.
    reach
        Farthest from 0 that each feature may be drawn, ``(feature,)``: members extrapolate to
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
    """

    basis: Floats
    outside: Floats
    reach: Floats
    weight: Floats
    levels: tuple[int, ...]
    atom: Floats
    replaces: Floats
    level_weight: Floats
    step: Floats
    parts: tuple[Part, ...] = ()

    @property
    def values(self) -> int:
        """Values per trial."""
        return int(self.basis.shape[1])

    @property
    def features(self) -> int:
        """Coordinates that the mixture core works in."""
        return int(self.basis.shape[0])

    @property
    def is_wide(self) -> bool:
        """Whether some values need noise of their own, outside the span of the basis."""
        return bool((self.outside > 0).any())

    @property
    def has_outside(self) -> Floats:
        """1 for values that the basis leaves something of, ``(value,)``."""
        return (self.outside > 0).astype(np.float32)


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
