"""Settings anywhere within the range of the training data, and trials that share their noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter
from virtlab.evaluation.matching import Array, in_numbers
from virtlab.runtime import Trials

if TYPE_CHECKING:
    from virtlab.simulation import Model

SEED = 20_262
KEY = 0  # of all settings: the same latents, so that what differs is what the settings do
ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Range:
    """What one parameter was in the training data.

    Parameters
    ----------
    parameter
        Which one.
    low, high
        Lowest and highest value; unused for a category.
    """

    parameter: Parameter
    low: float = 0.0
    high: float = 0.0

    @property
    def varies(self) -> bool:
        """Whether it was anything but the same in all trials."""
        return len(self.parameter.categories) > 1 or self.high > self.low

    def at(self, share: Array) -> NDArray[Any]:
        """Values at shares of the way from the lowest to the highest, evenly on its scale."""
        parameter, low, high = self.parameter, self.low, self.high
        if parameter.kind == "categorical":
            names = np.array(parameter.categories, dtype=object)
            chosen: NDArray[Any] = names[
                np.minimum((share * len(names)).astype(int), len(names) - 1)
            ]
            return chosen
        if parameter.kind == "integer":
            return np.minimum(low + np.floor(share * (high - low + 1)), high)
        if parameter.scale == "log":
            values = low * (high / low) ** share
        elif parameter.scale == "reciprocal":
            values = 1 / (1 / low + share * (1 / high - 1 / low))
        else:
            values = low + share * (high - low)
        return np.clip(values, low, high)

    def grid(self, most: int) -> Array:
        """Shares that give every category or whole number there is, or `most` values of many."""
        if self.parameter.kind == "categorical":
            count = len(self.parameter.categories)
        elif self.parameter.kind == "integer":
            count = int(self.high - self.low + 1)
        else:
            return np.linspace(0, 1, most)
        whole = (np.arange(count) + 0.5) / count
        return whole if count <= most else whole[np.linspace(0, count - 1, most).astype(int)]


def ranges_of(model: Model) -> list[Range]:
    """Each parameter's range in the training data."""
    found = []
    for parameter, told in zip(model.parameters, model.manifest["parameters"], strict=True):
        low, high = told["range"] or (0.0, 0.0)
        found.append(Range(parameter, float(low), float(high)))
    return found


def settings_at(ranges: Sequence[Range], shares: Array) -> dict[str, NDArray[Any]]:
    """Settings at points ``(setting, varying parameter)`` of the unit cube; the rest as it was."""
    columns = iter(shares.T)
    return {
        found.parameter.name: found.at(next(columns) if found.varies else np.zeros(len(shares)))
        for found in ranges
    }


def draw_alike(
    model: Model, settings: Mapping[str, NDArray[Any]], draws: int
) -> Iterator[tuple[slice, dict[str, Array]]]:
    """Draw the same noise at every setting, portion by portion.

    Yields
    ------
    portion, drawn
        Which settings; and in numbers, by measurement, ``(setting, draw, value)``.

    Raises
    ------
    SettingError
        A setting is impossible.
    """
    conditions, runtime = model.conditions(settings), model.runtime
    size = max(1, ROWS_AT_ONCE // draws)
    for start in range(0, len(conditions), size):
        here = slice(start, min(start + size, len(conditions)))
        count = here.stop - here.start
        runs = [Trials(i, KEY, 0, draws) for i in range(count)]
        values, levels = runtime.draw(runtime.setting_part(conditions[here]), runs, SEED)
        own = {name: np.repeat(chosen[here], draws) for name, chosen in settings.items()}
        found, at, level = {}, 0, 0
        for column in model.columns:
            codes = None
            if column.levels:
                codes = levels[:, level : level + column.levels].argmax(axis=1)
                level += column.levels
            totals = column.totals(own, count * draws)
            made = column.scale_up(values[:, at : at + column.values], codes, totals)
            at += column.values
            numbers = in_numbers(column.measurement, made)
            found[column.measurement.name] = numbers.reshape(count, draws, -1)
        yield here, found
