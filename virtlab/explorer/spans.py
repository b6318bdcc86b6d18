"""What a slider covers of each parameter, and the setting that a page starts with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter

if TYPE_CHECKING:
    from virtlab.simulation import Model

Value = float | str
Setting = dict[str, Value]
"""One value for every parameter."""

STEPS = 200  # of a slider, about: fine enough for a hand, coarse enough for numbers that read well
MARGIN = 0.15  # of the data's span: beyond its ends, where the verdict turns to edge and outside
CANDIDATES = 512  # settings among which the starting one is chosen
DIGITS = 3  # of a value on a logarithmic slider


@dataclass(frozen=True)
class Span:
    """What may be chosen for a parameter.

    Parameters
    ----------
    parameter
        The parameter.
    data
        Least and greatest value in the training data; None for a categorical parameter.
    low, high
        Ends of the slider: of the value, or of its decimal logarithm if `log`.
    step
        Of the slider; 0 where the parameter never varied, and there is none.
    log
        The slider is logarithmic.
    """

    parameter: Parameter
    data: tuple[float, float] | None = None
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    log: bool = False

    @property
    def heard(self) -> str:
        """Name and unit, as one reads them."""
        units = self.parameter.units
        return self.parameter.name + (f" ({units})" if units not in ("", "1") else "")

    def told(self) -> str:
        """What the training data hold of it."""
        if self.data is None:
            return f"{len(self.parameter.categories)} in the data"
        low, high = self.data
        if low == high:
            return f"data: always {low:.4g}"
        return f"data: {low:.4g} to {high:.4g}"

    def values(self, share: NDArray[np.float64]) -> list[Value]:
        """Values that a slider can reach, at shares from 0 to 1 of what the data cover."""
        if self.data is None:
            names = self.parameter.categories
            return [names[min(int(x * len(names)), len(names) - 1)] for x in share]
        low, high = self.data
        if self.step == 0:
            return [low] * len(share)
        if self.log:
            spread = np.log10(low) + share * (np.log10(high) - np.log10(low))
            return [min(max(float(f"{10**x:.{DIGITS}g}"), low), high) for x in spread]
        steps = np.round((low + share * (high - low) - self.low) / self.step)
        return [min(max(_plain(self.low + n * self.step), low), high) for n in steps]


def spans_of(model: Model) -> tuple[Span, ...]:
    """What may be chosen for each parameter of a model."""
    found = zip(model.parameters, model.manifest["parameters"], strict=True)
    return tuple(_span(parameter, told["range"]) for parameter, told in found)


def _span(parameter: Parameter, data: Any) -> Span:
    if parameter.kind == "categorical":
        return Span(parameter)
    low, high = float(data[0]), float(data[1])
    if parameter.kind == "cyclic" and parameter.period is not None:
        end = low + parameter.period
        return Span(parameter, (low, high), low, end, _nice(parameter.period / STEPS))
    if low == high:
        return Span(parameter, (low, high), low, high)
    least, most = parameter.bounds or (-math.inf, math.inf)
    if parameter.kind == "integer":
        more = max(1, round(MARGIN * (high - low)))
        below, above = max(low - more, least, 0 if low >= 0 else -math.inf), min(high + more, most)
        return Span(parameter, (low, high), math.ceil(below), math.floor(above), 1.0)
    if parameter.scale == "log" and low > 0:
        return _log_span(parameter, (low, high), least, most)
    step = _nice((high - low) / STEPS)
    margin = MARGIN * (high - low)
    below = math.floor((low - margin) / step) * step
    if low >= 0:  # what never was negative may be a length, a mass, a share
        below = max(below, 0.0)
    if low > 0 and parameter.scale != "linear":  # has no value at zero
        below = max(below, low / 2)
    above = math.ceil((high + margin) / step) * step
    return Span(
        parameter, (low, high), _plain(max(below, least)), _plain(min(above, most)), _plain(step)
    )


def _log_span(parameter: Parameter, data: tuple[float, float], least: float, most: float) -> Span:
    low, high = (math.log10(end) for end in data)
    more = MARGIN * (high - low)
    below = max(low - more, math.log10(least) if least > 0 else -math.inf)
    above = min(high + more, math.log10(most) if most < math.inf else math.inf)
    return Span(parameter, data, below, above, (above - below) / STEPS, log=True)


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, near a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return power * min((1, 2, 5, 10), key=lambda times: abs(times - step / power))


def _plain(number: float) -> float:
    """Drop the digits that arithmetic leaves: 0.3, not 0.30…04."""
    return float(Decimal(f"{number:.15g}"))


def candidates(spans: tuple[Span, ...], count: int, rng: np.random.Generator) -> list[Setting]:
    """Settings that sliders can reach within the data; the first is in the middle of it."""
    columns = {}
    for span in spans:
        share = rng.random(count)
        share[0] = 0.5
        columns[span.parameter.name] = span.values(share)
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


def settings_to_columns(settings: list[Setting]) -> dict[str, NDArray[Any]]:
    """One array per parameter."""
    return {
        name: np.array(
            [setting[name] for setting in settings], object if isinstance(first, str) else float
        )
        for name, first in settings[0].items()
    }


def starting_setting(model: Model, spans: tuple[Span, ...]) -> Setting:
    """Return a setting inside the data, as near to their middle as can be."""
    found = candidates(spans, CANDIDATES, np.random.default_rng(0))
    conditions = model.conditions(settings_to_columns(found))
    distance = model.domain.distance(conditions)
    middle = np.linalg.norm(conditions - conditions[0], axis=1)
    inside = distance <= 1
    if not inside.any():
        return found[int(np.argmin(distance))]
    return found[int(np.argmin(np.where(inside, middle, np.inf)))]
