"""How a measurement responds to one parameter, the others anywhere in their ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.evaluation.estimates import INTERVAL
from virtlab.evaluation.matching import Array
from virtlab.evaluation.ranges import Range, draw_alike, settings_at
from virtlab.trials import Measurement

if TYPE_CHECKING:
    from virtlab.simulation import Model

SEED = 20_264
GRID = 11  # values of a parameter, categories excepted
MOST_CATEGORIES = 24
OTHERS = 24  # settings of the other parameters, the same at each value
MOST_VALUES = 4e6  # simulated for a parameter: what the others are chosen by


@dataclass(frozen=True)
class Curve:
    """One measurement over one parameter (partial dependence, Friedman 2001).

    Parameters
    ----------
    measurement, parameter
        Which ones.
    what
        What is shown of the measurement: nothing, its mean over dims of its own, or the share of
        a category.
    at
        Values of the parameter, ``(n,)``: numbers or categories.
    mean
        Over trials and settings of the other parameters.
    low, high
        Between them lie 90 % of the virtual trials; of a category, of the settings' shares.
    spread
        Standard deviation between trials at a setting, averaged over the others.
    """

    measurement: str
    parameter: str
    what: str
    at: tuple[Any, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: tuple[float, ...]


def draw_curves(model: Model, ranges: Sequence[Range], draws: int) -> tuple[Curve, ...]:
    """Draw the response of every measurement to every parameter that varies.

    Parameters
    ----------
    ranges
        Of all parameters; see `virtlab.evaluation.ranges.ranges_of`.
    draws
        Virtual trials per setting.

    Raises
    ------
    SettingError
        The conditioner refuses a combination within the ranges.
    """
    varying = [found for found in ranges if found.varies]
    size = sum(measurement.size for measurement in model.measurements)
    others = int(np.clip(MOST_VALUES / (GRID * draws * size), 4, OTHERS))
    elsewhere = np.random.default_rng(SEED).random((others, len(varying)))
    found = []
    for place, asked in enumerate(varying):
        grid = asked.grid(MOST_CATEGORIES if asked.parameter.kind == "categorical" else GRID)
        shares = np.tile(elsewhere, (len(grid), 1))
        shares[:, place] = np.repeat(grid, others)
        shown = _shown(model, settings_at(ranges, shares), draws)
        at = tuple(asked.at(grid).tolist())
        for measurement in model.measurements:
            values = shown[measurement.name].reshape(len(grid), others, draws, -1)
            found.append(_curve(measurement, asked.parameter.name, at, values))
    return tuple(found)


def _shown(model: Model, settings: dict[str, Any], draws: int) -> dict[str, Array]:
    """One number per trial, ``(setting, draw, 1)``; of a category one per level."""
    found: dict[str, list[Array]] = {m.name: [] for m in model.measurements}
    for _, drawn in draw_alike(model, settings, draws):
        for measurement in model.measurements:
            values = drawn[measurement.name]
            if measurement.kind == "categorical":
                found[measurement.name].append((values > 0).astype(np.float64))
            else:
                found[measurement.name].append(values.mean(axis=2, keepdims=True))
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def _curve(measurement: Measurement, parameter: str, at: tuple[Any, ...], values: Array) -> Curve:
    """Sum up ``(value, other, draw, level)``."""
    level, what = 0, f"mean over {', '.join(measurement.dims)}" if measurement.dims else ""
    if measurement.kind == "categorical":
        # The category whose share moves most says most.
        level = int(np.ptp(values.mean(axis=(1, 2)), axis=0).argmax())
        what = f"share of {measurement.categories[level]}"
    shown = values[..., level]
    band = shown.mean(axis=2) if measurement.kind == "categorical" else shown.reshape(len(at), -1)
    low, high = np.quantile(band, INTERVAL, axis=1)
    return Curve(
        measurement=measurement.name,
        parameter=parameter,
        what=what,
        at=at,
        mean=tuple(shown.mean(axis=(1, 2)).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        spread=tuple(shown.std(axis=2, ddof=1).mean(axis=1).tolist()),
    )
