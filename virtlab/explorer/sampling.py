"""Draws what the page shows: virtual trials at a setting, and how far they usually reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design, design_from
from virtlab.domain import verdicts
from virtlab.errors import DomainError
from virtlab.explorer.spans import (
    Setting,
    candidates,
    settings_to_columns,
    spans_of,
)
from virtlab.simulation import Model
from virtlab.simulation.drawing import MEMBER, Drawer, decoded, draw
from virtlab.trials import Measurement

Array = NDArray[Any]

FIRST_VALUES = 100_000  # of the first picture: some 30 ms of a core
GROWTH = 4  # of the pictures that follow: more of them would only be restless
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
    setting, trials
        Where, and how many.
    measurements
        ``(trial, *own dims)`` by name.
    member
        Which of the ensemble drew each trial, ``(trial,)``.
    members
        How many there are.
    domain, distance
        ``inside``, ``edge`` or ``outside``, and how far from the data.
    """

    setting: Setting
    trials: int
    measurements: Mapping[str, Array]
    member: NDArray[np.int16]
    members: int
    domain: str
    distance: float


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

    @property
    def portions(self) -> list[int]:
        """How many trials to show one after the other: whole calls of the generator, then all.

        Most models draw a thousand trials at once; of wide signals and images, some dozen first.
        """
        call, values = self.model.runtime.call, self.model.runtime.values
        count, found = call * max(1, FIRST_VALUES // (call * max(1, values))), []
        while 2 * count < self.trials:
            found.append(count)
            count *= GROWTH
        return [*found, self.trials]

    def draw(self, setting: Setting, count: int | None = None, known: Draws | None = None) -> Draws:
        """Draw the first `count` trials of a setting, or all.

        Parameters
        ----------
        known
            Trials of the same setting that are there already, and need not be drawn again.

        Raises
        ------
        SettingError
            The setting is impossible.
        DomainError
            It is so far from the data that the model has no numbers for it.
        """
        model = self.model
        design = design_from(setting, model.parameters)
        first = 0 if known is None else known.trials
        last = self.trials if count is None else min(count, self.trials)
        with np.errstate(over="ignore", invalid="ignore"):  # told of below
            drawer = Drawer(model, design, seed=self.seed)
            found = drawer.draw(range(1), range(first, last))
        measurements = {
            column.measurement.name: decoded(column, found[column.measurement.name][0])
            for column in model.columns
        }
        for name, values in measurements.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise DomainError(f"{name} is no finite number so far from the data")
        member = found[MEMBER][0]
        if known is not None:
            member = np.concatenate([known.member, member])
            measurements = {
                name: np.concatenate([known.measurements[name], values])
                for name, values in measurements.items()
            }
        distance = model.domain.distance(model.conditions(design.settings))
        return Draws(
            setting=setting,
            trials=last,
            measurements=measurements,
            member=member,
            members=model.runtime.members,
            domain=str(verdicts(distance)[0]),
            distance=float(distance[0]),
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
