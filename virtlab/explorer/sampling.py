"""Draws what the page shows: virtual trials at a setting, and how far they usually reach."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design, design_from
from virtlab.explorer.spans import (
    Setting,
    candidates,
    settings_to_columns,
    spans_of,
    starting_setting,
)
from virtlab.simulation import Model
from virtlab.simulation.drawing import draw
from virtlab.trials import Measurement

Array = NDArray[Any]

AT_ONCE = 0.1  # seconds that nobody takes for a delay
FIRST = 128  # trials that are shown first where all take longer
LOOKS = 64  # settings that tell how far measurements reach over all settings
LOOK_TRIALS = 32
LOOK_VALUES = 2_000_000
WHOLE = 0.002  # share of values that may lie beyond each end of an axis
PAD = 0.04  # of an axis, beyond what lies on it


@dataclass(frozen=True)
class Draws:
    """Virtual trials at one setting.

    Parameters
    ----------
    setting
        Where.
    measurements
        ``(trial, *own dims)`` by name.
    member
        Which member drew each trial, ``(trial,)``.
    domain, distance
        ``inside``, ``edge`` or ``outside``, and how far from the data.
    seconds
        What it took.
    """

    setting: Setting
    measurements: Mapping[str, Array]
    member: NDArray[np.int16]
    domain: str
    distance: float
    seconds: float

    @property
    def trials(self) -> int:
        """How many."""
        return len(self.member)


@dataclass(frozen=True)
class Reach:
    """How far a measurement reaches over the settings of the data.

    Parameters
    ----------
    low, high
        Of nearly all values.
    spread
        The standard deviation between trials of a setting that hardly any entry exceeds.
    """

    low: float
    high: float
    spread: float


class Sampler:
    """Draws virtual trials at any setting: the same ones each time.

    Parameters
    ----------
    model, trials, seed
        What draws, how many, and the seed: those trials that `simulate` makes of them.
    """

    def __init__(self, model: Model, *, trials: int, seed: int) -> None:
        self.model, self.trials, self.seed = model, trials, seed
        self.spans = spans_of(model)

    @cached_property
    def portions(self) -> tuple[int, ...]:
        """How many trials to show at first, if all take long, and at last."""
        took = self.draw(starting_setting(self.model, self.spans)).seconds
        quick = took <= AT_ONCE or self.trials <= FIRST
        return (self.trials,) if quick else (FIRST, self.trials)

    def draw(self, setting: Setting, trials: int | None = None) -> Draws:
        """Draw the first trials of a setting, or all.

        Raises
        ------
        SettingError
            The setting is impossible.
        """
        start = time.perf_counter()
        design = design_from(setting, self.model.parameters)
        count = self.trials if trials is None else trials
        drawn = draw(self.model, design, trials=count, seed=self.seed)
        return Draws(
            setting=setting,
            measurements={name: values[0] for name, values in drawn.measurements.items()},
            member=drawn.member[0],
            domain=str(drawn.domain[0]),
            distance=float(drawn.domain_distance[0]),
            seconds=time.perf_counter() - start,
        )

    @cached_property
    def reaches(self) -> Mapping[str, Reach]:
        """How far each measurement of numbers reaches: axes that stay when settings move."""
        size = sum(column.measurement.size for column in self.model.columns)
        trials = int(np.clip(LOOK_VALUES / (size * LOOKS), 8, LOOK_TRIALS))
        looks = int(np.clip(LOOK_VALUES / (size * trials), 8, LOOKS))
        settings = candidates(self.spans, looks, np.random.default_rng(1))
        design = Design(settings_to_columns(settings))
        drawn = draw(self.model, design, trials=trials, seed=self.seed).measurements
        return {
            m.name: _reach(m, drawn[m.name])
            for m in self.model.measurements
            if m.kind != "categorical"
        }


def _reach(measurement: Measurement, values: Array) -> Reach:
    """Reach of values, ``(setting, trial, *own dims)``."""
    low, high = (float(end) for end in np.quantile(values, (WHOLE, 1 - WHOLE)))
    pad = PAD * (high - low) or 0.5
    least, most = measurement.support
    # Room beside the values, but none for what cannot be.
    low = low - pad if low - pad >= least else max(least - pad / 2, low - pad)
    high = high + pad if high + pad <= most else min(most + pad / 2, high + pad)
    spread = float(np.quantile(values.std(axis=1, dtype=float), 1 - WHOLE))
    return Reach(low, high, spread or 1.0)
