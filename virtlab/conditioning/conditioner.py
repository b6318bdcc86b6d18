"""What a conditioner is, how one is run and checked, and the built-in `generic`.

A conditioner is data and one function. Everything that any conditioner needs checked is
checked here, once, by `condition`: names, kinds, limits, shape, finiteness. Conditions are
plain float64 arrays with labels beside them: `simulate` would otherwise spend most of its
start on importing xarray.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning.constraints import Constraint
from virtlab.conditioning.parameters import Parameter, suggestion
from virtlab.conditioning.settings import Settings, check_settings, first_outside, refuse_settings
from virtlab.errors import ConfigError, PluginError, SettingError, VirtlabError
from virtlab.trials import Measurement

LARGEST = 1e100  # squares of larger values are soon no numbers


@dataclass(frozen=True)
class Conditions:
    """What the networks see of the settings.

    Parameters
    ----------
    values
        Float64, shape ``(setting, feature)``; finite. Single precision, which the networks
        see, would make one setting of frequencies that differ in the tenth digit: it comes
        after they are standardised.
    labels
        One name per feature.
    """

    values: NDArray[np.float64]
    labels: tuple[str, ...]


Encode = Callable[
    [Settings, Mapping[str, Parameter], Mapping[str, Any]], Mapping[str, NDArray[Any]]
]
"""``encode(settings, parameters, options)`` to feature label and one number per setting."""

Constrain = Callable[
    [Sequence[Measurement], Mapping[str, Parameter], Mapping[str, Any]], Iterable[Constraint]
]
"""``constraints(measurements, parameters, options)`` to what holds in every trial."""


@dataclass(frozen=True)
class Conditioner:
    """Turns settings into conditions.

    Parameters
    ----------
    name
        What experiment.toml calls it.
    about
        One sentence for ``virtlab plugins``.
    encode
        A pure function from settings, the experiment's parameters and the table
        ``[conditioner]`` of experiment.toml to labelled features of shape ``(setting,)``.
        It sees values already checked, in the experiment's units.
    parameters
        Parameters that the experiment must have, with the kind, units and bounds they need.
        Empty: any parameters will do.
    options
        Names that the table ``[conditioner]`` may hold, each with what it means.
    constraints
        What physics says of the measurements: see `virtlab.conditioning.constraints`. None:
        nothing.
    """

    name: str
    about: str
    encode: Encode
    parameters: tuple[Parameter, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    constraints: Constrain | None = None


def condition(
    conditioner: Conditioner,
    settings: Settings,
    parameters: Sequence[Parameter],
    options: Mapping[str, Any] | None = None,
) -> Conditions:
    """Encode settings, checking what goes in and what comes out.

    Raises
    ------
    SettingError
        A parameter is missing or unknown, or a value is not finite, outside its bounds,
        not whole, or no known category.
    ConfigError
        An option that the conditioner does not know.
    PluginError
        The conditioner broke its contract, or the experiment lacks what it declares.
    """
    checked = check_settings(settings, parameters)
    by_name = {parameter.name: parameter for parameter in parameters}
    _check_declared(conditioner, by_name)
    refuse_settings(
        [
            fault
            for wanted in conditioner.parameters
            if (fault := first_outside(checked[wanted.name], wanted)) is not None
        ]
    )
    _check_options(conditioner, options or {})
    try:
        features = conditioner.encode(checked, by_name, dict(options or {}))
    except VirtlabError:
        raise
    except Exception as error:  # a plugin's code: whatever it raises is the plugin's fault
        raise PluginError(
            f"conditioner {conditioner.name!r} failed: {type(error).__name__}: {error}"
        ) from error
    return _assemble(conditioner.name, features, _length(checked))


def constraints_of(
    conditioner: Conditioner,
    measurements: Sequence[Measurement],
    parameters: Sequence[Parameter],
    options: Mapping[str, Any] | None = None,
) -> tuple[Constraint, ...]:
    """What a conditioner says of the measurements.

    Raises
    ------
    PluginError
        The conditioner broke its contract.
    """
    if conditioner.constraints is None:
        return ()
    by_name = {parameter.name: parameter for parameter in parameters}
    try:
        found = tuple(conditioner.constraints(tuple(measurements), by_name, dict(options or {})))
    except VirtlabError:
        raise
    except Exception as error:  # a plugin's code: whatever it raises is the plugin's fault
        raise PluginError(
            f"conditioner {conditioner.name!r} failed to name its constraints: "
            f"{type(error).__name__}: {error}"
        ) from error
    for constraint in found:
        if not isinstance(constraint, Constraint):
            raise PluginError(
                f"conditioner {conditioner.name!r}: constraints returned a "
                f"{type(constraint).__name__}, expected NonNegative, Sum or Monotone"
            )
    return found


def _length(settings: Settings) -> int:
    return len(next(iter(settings.values()))) if settings else 0


def _check_options(conditioner: Conditioner, options: Mapping[str, Any]) -> None:
    for option in options:
        if option not in conditioner.options:
            raise ConfigError(
                f"conditioner.{option}: conditioner {conditioner.name!r} has no such option"
                f"{suggestion(option, list(conditioner.options))}"
            )


def _check_declared(conditioner: Conditioner, parameters: Mapping[str, Parameter]) -> None:
    """See that the experiment has what the conditioner declares."""
    for wanted in conditioner.parameters:
        given = parameters.get(wanted.name)
        if given is None:
            raise PluginError(
                f"conditioner {conditioner.name!r} needs a parameter {wanted.name!r}"
                f"{suggestion(wanted.name, list(parameters))}"
            )
        if given.kind != wanted.kind or (wanted.units and given.units != wanted.units):
            raise PluginError(
                f"conditioner {conditioner.name!r} needs parameter {wanted.name!r} as "
                f"{wanted.kind} in {wanted.units!r}, found {given.kind} in {given.units!r}"
            )


def _assemble(name: str, features: Mapping[str, NDArray[Any]], n: int) -> Conditions:
    """Labelled features as one matrix, or what is wrong with them."""
    if not isinstance(features, Mapping) or not features:
        raise PluginError(f"conditioner {name!r} returned no features: expected label -> array")
    columns = []
    for label, values in features.items():
        column = np.asarray(values)
        if column.shape != (n,):
            raise PluginError(
                f"conditioner {name!r}: feature {label!r} has shape {column.shape}, "
                f"expected ({n},), one number per setting"
            )
        if column.dtype.kind not in "fiub":
            raise PluginError(f"conditioner {name!r}: feature {label!r} is not numeric")
        column = column.astype(np.float64)
        if not (np.abs(column) <= LARGEST).all():
            raise PluginError(
                f"conditioner {name!r}: feature {label!r} is not finite, or beyond {LARGEST:g}"
            )
        columns.append(column)
    return Conditions(np.stack(columns, axis=1), tuple(str(label) for label in features))


def _encode_generic(
    settings: Settings, parameters: Mapping[str, Parameter], _options: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """Each parameter by its kind and scale."""
    features: dict[str, NDArray[Any]] = {}
    for name, parameter in parameters.items():
        features |= encode_parameter(settings[name], parameter)
    return features


def encode_parameter(values: NDArray[Any], parameter: Parameter) -> dict[str, NDArray[Any]]:
    """Encode one parameter by its kind and scale; the pieces other conditioners build on.

    Raises
    ------
    SettingError
        A value that the scale cannot take: zero or less for ``log``, zero for ``reciprocal``.
    """
    name = parameter.name
    if parameter.kind == "categorical":
        if not parameter.categories:
            raise SettingError(f"parameter {name!r}: categorical, but no categories are known")
        return {
            f"{name}={category}": (values == category).astype(np.float64)
            for category in parameter.categories
        }
    if parameter.kind == "cyclic":
        turn = 2 * math.pi * values / (parameter.period or 2 * math.pi)
        return {f"cos({name})": np.cos(turn), f"sin({name})": np.sin(turn)}
    if parameter.scale == "log":
        if (values <= 0).any():
            raise SettingError(f"parameter {name!r}: scale 'log' needs values above 0")
        return {f"log({name})": np.log(values)}
    if parameter.scale == "reciprocal":
        if (values == 0).any():
            raise SettingError(f"parameter {name!r}: scale 'reciprocal' cannot take 0")
        return {f"1/{name}": 1 / values}
    return {name: values}


generic = Conditioner(
    name="generic",
    about="linear, log, reciprocal, one-hot and cyclic encodings of any parameters",
    encode=_encode_generic,
)
