"""Settings to conditions: `Parameter`, `Conditioner`, and the built-in `generic` encodings.

A conditioner is data and one function. Everything that any conditioner needs checked is
checked here, once, by `condition`: names, kinds, limits, shape, finiteness. Conditions are
plain float32 arrays with labels beside them: `simulate` would otherwise spend most of its
start on importing xarray.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from virtlab.errors import PluginError, SettingError

ParameterKind = Literal["continuous", "integer", "categorical", "cyclic"]
Scale = Literal["linear", "log", "reciprocal"]

Settings = Mapping[str, NDArray[Any]]
"""Parameter name to one value per setting: float64, or strings for a categorical parameter."""


@dataclass(frozen=True)
class Parameter:
    """A quantity that is set in an experiment.

    Parameters
    ----------
    name
        The parameter's name.
    kind
        ``continuous``, ``integer``, ``categorical`` or ``cyclic`` (then `period`).
    units
        A pint-readable unit; ``"1"`` or ``""`` for none.
    scale
        How the generic conditioner sees it: ``linear``, ``log`` or ``reciprocal``.
    bounds
        Hard limits; a setting outside is an error.
    period
        Length of one turn, in `units`, of a cyclic parameter.
    categories
        What a categorical parameter may be.
    """

    name: str
    kind: ParameterKind = "continuous"
    units: str = ""
    scale: Scale = "linear"
    bounds: tuple[float, float] | None = None
    period: float | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conditions:
    """What the networks see of the settings.

    Parameters
    ----------
    values
        Float32, shape ``(setting, feature)``; finite.
    labels
        One name per feature.
    """

    values: NDArray[np.float32]
    labels: tuple[str, ...]


Encode = Callable[
    [Settings, Mapping[str, Parameter], Mapping[str, Any]], Mapping[str, NDArray[Any]]
]
"""``encode(settings, parameters, options)`` to feature label and one number per setting."""


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
    """

    name: str
    about: str
    encode: Encode
    parameters: tuple[Parameter, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


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
    PluginError
        The conditioner broke its contract.
    """
    checked = check_settings(settings, parameters)
    by_name = {parameter.name: parameter for parameter in parameters}
    _check_declared(conditioner, by_name)
    features = conditioner.encode(checked, by_name, dict(options or {}))
    return _assemble(conditioner.name, features, _length(checked))


def check_settings(settings: Settings, parameters: Sequence[Parameter]) -> Settings:
    """Return settings as float64 or string arrays of one length, or say what is wrong.

    Raises
    ------
    SettingError
        See `condition`.
    """
    names = [parameter.name for parameter in parameters]
    for name in settings:
        if name not in names:
            raise SettingError(f"unknown parameter {name!r}{suggestion(name, names)}")
    missing = [name for name in names if name not in settings]
    if missing:
        raise SettingError(
            f"no value for parameter {', '.join(map(repr, missing))}; "
            "every parameter of the experiment needs one"
        )
    checked = {
        parameter.name: _check_values(np.asarray(settings[parameter.name]), parameter)
        for parameter in parameters
    }
    lengths = {name: len(values) for name, values in checked.items()}
    if len(set(lengths.values())) > 1:
        raise SettingError(f"parameters have different numbers of settings: {lengths}")
    return checked


def suggestion(name: str, known: Sequence[str]) -> str:
    """Text to end a message about an unknown name: the nearest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def _check_values(values: NDArray[Any], parameter: Parameter) -> NDArray[Any]:
    """One parameter's values, as float64 or strings."""
    where = f"parameter {parameter.name!r}"
    if values.ndim != 1:
        raise SettingError(f"{where}: expected one value per setting, found shape {values.shape}")
    if parameter.kind == "categorical":
        strings = np.array([str(value) for value in values.tolist()], dtype=object)
        for value in dict.fromkeys(strings.tolist()):
            if parameter.categories and value not in parameter.categories:
                known = sorted(parameter.categories)
                raise SettingError(
                    f"{where}: unknown category {value!r}{suggestion(value, known)}"
                )
        return strings
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{where}: expected numbers, found {values.tolist()[0]!r}") from error
    if not np.isfinite(numbers).all():
        raise SettingError(f"{where}: {np.flatnonzero(~np.isfinite(numbers)).size} not finite")
    if parameter.kind == "integer" and (numbers != np.round(numbers)).any():
        found = numbers[numbers != np.round(numbers)][0]
        raise SettingError(f"{where}: expected whole numbers, found {found:g}")
    if parameter.bounds is not None:
        low, high = parameter.bounds
        outside = numbers[(numbers < low) | (numbers > high)]
        if outside.size:
            raise SettingError(
                f"{where}: {outside[0]:g} {parameter.units} is outside its bounds "
                f"[{low:g}, {high:g}]".replace("  ", " ")
            )
    return numbers


def _length(settings: Settings) -> int:
    return len(next(iter(settings.values()))) if settings else 0


def _check_declared(conditioner: Conditioner, parameters: Mapping[str, Parameter]) -> None:
    """The experiment has what the conditioner declares."""
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
    """Labelled features as one float32 matrix, or what is wrong with them."""
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
        column = column.astype(np.float32)
        if not np.isfinite(column).all():
            raise PluginError(f"conditioner {name!r}: feature {label!r} is not finite")
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
