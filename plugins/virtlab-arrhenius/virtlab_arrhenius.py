"""Chemistry's view of a setting: reciprocal temperature, log concentrations, ratios.

A rate constant is ``A exp(-E / RT)`` and a rate law a product of powers of concentrations:
the logarithm of a rate is linear in 1/T and in log concentrations. Seen so, little data
goes a long way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import (
    Conditioner,
    Constraint,
    Monotone,
    NonNegative,
    Parameter,
    Settings,
    Sum,
    encode_parameter,
    suggestion,
)
from virtlab.errors import ConfigError, SettingError
from virtlab.trials import Measurement

Numbers = NDArray[np.float64]

ROOM_TEMPERATURE = 298.15  # K; where the temperature's feature is zero

_TO_KELVIN: dict[str, Callable[[Numbers], Numbers]] = {
    **dict.fromkeys(("K", "kelvin", "degK"), lambda t: t),
    **dict.fromkeys(("degC", "°C", "celsius", "degree_Celsius"), lambda t: t + 273.15),
    **dict.fromkeys(
        ("degF", "°F", "fahrenheit", "degree_Fahrenheit"), lambda t: (t + 459.67) / 1.8
    ),
}

_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9}
_MOLAR = {
    unit: prefix * size
    for p, prefix in _PREFIXES.items()
    for unit, size in {
        **dict.fromkeys((f"{p}M", f"{p}mol/L", f"{p}mol/l", f"{p}mol/liter", f"{p}molar"), 1.0),
        **dict.fromkeys((f"{p}mol/dm**3", f"{p}mol/dm^3", f"{p}mol/dm³"), 1.0),
        **dict.fromkeys((f"{p}mol/m**3", f"{p}mol/m^3", f"{p}mol/m³"), 1e-3),
        **dict.fromkeys((f"{p}mol/mL", f"{p}mol/ml", f"{p}mol/cm**3"), 1e3),
    }.items()
}
"""Units of concentration, in mol/L."""


def encode(
    settings: Settings, parameters: Mapping[str, Parameter], options: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Encode temperatures, concentrations and reagent ratios; the rest as `generic` does."""
    temperatures = _temperatures(parameters, options)
    reagents = _reagents(parameters, options)
    logs: dict[str, Numbers] = {}
    features: dict[str, NDArray[Any]] = {}
    for name, parameter in parameters.items():
        values = settings[name]
        if name in temperatures:
            features[f"1000/{name}"] = _reciprocal_temperature(values, parameter)
        elif name in reagents or parameter.units in _MOLAR:
            logs[name] = _log_concentration(values, parameter, options)
            features[f"log({name})"] = logs[name]
            if _may_be_absent(parameter):
                features[f"{name}>0"] = values > 0
        else:
            features |= encode_parameter(values, parameter)
    for name in reagents[1:]:
        features[f"log({name}/{reagents[0]})"] = logs[name] - logs[reagents[0]]
    return features


def _temperatures(parameters: Mapping[str, Parameter], options: Mapping[str, Any]) -> list[str]:
    """Name the parameters that are temperatures: the one that is declared, or by their units."""
    if "temperature" not in options:
        found = [name for name, p in parameters.items() if p.units in _TO_KELVIN]
        if not found:
            raise ConfigError(
                "conditioner arrhenius: no parameter has units K, degC or degF; give the "
                'temperature its units, or use conditioner = "generic"'
            )
        return found
    name = options["temperature"]
    parameter = _known("temperature", name, parameters)
    if parameter.units not in _TO_KELVIN:
        raise ConfigError(
            f"conditioner.temperature: parameter {name!r} has units {parameter.units!r}, "
            "expected K, degC or degF"
        )
    return [name]


def _reagents(parameters: Mapping[str, Parameter], options: Mapping[str, Any]) -> list[str]:
    """Name the reagents, the one that ratios refer to first."""
    if "reagents" not in options:
        return [name for name, parameter in parameters.items() if parameter.units in _MOLAR]
    names = options["reagents"]
    if not isinstance(names, list) or not names:
        raise ConfigError(f"conditioner.reagents: expected a list of parameters, found {names!r}")
    units = {_known("reagents", name, parameters).units for name in names}
    if len(set(names)) < len(names):
        raise ConfigError("conditioner.reagents: a parameter stands in it twice")
    if len(units) > 1 and not units <= set(_MOLAR):
        raise ConfigError(
            f"conditioner.reagents: units {', '.join(map(repr, sorted(units)))} have no common "
            "ratio; expected one unit for all reagents, or concentrations such as mol/L and mM"
        )
    return list(names)


def _known(option: str, name: Any, parameters: Mapping[str, Parameter]) -> Parameter:
    """Return the numeric parameter that an option names."""
    parameter = parameters.get(name) if isinstance(name, str) else None
    if parameter is None:
        near = suggestion(str(name), list(parameters))
        raise ConfigError(f"conditioner.{option}: no parameter is named {name!r}{near}")
    if parameter.kind not in ("continuous", "integer"):
        raise ConfigError(
            f"conditioner.{option}: parameter {name!r} is {parameter.kind}, expected numbers"
        )
    return parameter


def _reciprocal_temperature(values: Numbers, parameter: Parameter) -> Numbers:
    """Return 1000 K / T, zero at room temperature: some 0.01 per kelvin."""
    kelvin = _TO_KELVIN[parameter.units](values)
    if (kelvin <= 0).any():
        found = values[np.argmin(kelvin)]
        raise SettingError(
            f"parameter {parameter.name!r}: {found:g} {parameter.units} is not above absolute zero"
        )
    return 1000 / kelvin - 1000 / ROOM_TEMPERATURE


def _may_be_absent(parameter: Parameter) -> bool:
    """Tell by the bounds, never by the values: features must not depend on which are asked for."""
    return parameter.bounds is None or parameter.bounds[0] <= 0


def _log_concentration(
    values: Numbers, parameter: Parameter, options: Mapping[str, Any]
) -> Numbers:
    """Return the natural logarithm of a concentration in mol/L, or of an amount in its units.

    No reagent is no limit of little reagent: a catalyst's absence is another mechanism, not a
    very slow one, and log(0) is not finite. So zero is taken as the floor, and a feature of
    its own says whether there is any.
    """
    if (values < 0).any():
        raise SettingError(
            f"parameter {parameter.name!r}: {values.min():g} {parameter.units} is below zero"
        )
    floor = _floor(parameter, options)
    if floor is None:
        if (values == 0).any():
            raise SettingError(
                f"parameter {parameter.name!r}: 0 has no logarithm; give the parameter bounds, "
                "or the table [conditioner] a floor"
            )
        floor = np.finfo(float).tiny
    return np.log(np.maximum(values, floor) * _MOLAR.get(parameter.units, 1.0))


def _floor(parameter: Parameter, options: Mapping[str, Any]) -> float | None:
    """Return what stands for zero: the option, or a thousandth of the upper bound."""
    floor = options.get("floor")
    if floor is not None:
        if isinstance(floor, bool) or not isinstance(floor, int | float) or not floor > 0:
            raise ConfigError(f"conditioner.floor: expected a number above 0, found {floor!r}")
        return float(floor)
    if not _may_be_absent(parameter) or parameter.bounds is None:
        return None
    high = parameter.bounds[1]
    return high / 1000 if 0 < high < np.inf else None


def constraints(
    measurements: Sequence[Measurement],
    _parameters: Mapping[str, Parameter],
    options: Mapping[str, Any],
) -> Iterator[Constraint]:
    """Fractions make up the whole; what has reacted in an irreversible reaction stays so."""
    by_name = {measurement.name: measurement for measurement in measurements}
    for name in _listed("fractions", options, by_name):
        yield Sum(name, 1.0)
    for name in _listed("conversions", options, by_name):
        yield NonNegative(name)
        if "time" in by_name[name].dims:
            yield Monotone(name, "time")


def _listed(
    option: str, options: Mapping[str, Any], measurements: Mapping[str, Measurement]
) -> list[str]:
    """Return the measurements that an option lists."""
    names = options.get(option, [])
    if not isinstance(names, list):
        raise ConfigError(f"conditioner.{option}: expected a list of measurements, found {names!r}")
    for name in names:
        if name not in measurements:
            near = suggestion(str(name), list(measurements))
            raise ConfigError(f"conditioner.{option}: no measurement is named {name!r}{near}")
    return names


conditioner = Conditioner(
    name="arrhenius",
    about="chemistry: reciprocal temperature, log concentrations, ratios of reagents",
    encode=encode,
    options={
        "temperature": "the parameter that is the temperature; default: by units",
        "reagents": "parameters whose ratios matter, the reference first; default: by units",
        "floor": "what a concentration of zero counts as, in the parameter's units",
        "fractions": "measurements whose values are 0 or more and sum to 1",
        "conversions": "measurements that are 0 or more and, along time, never fall",
    },
    constraints=constraints,
)
