"""Settings: one value for every parameter, checked once before anything sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning.parameters import Parameter, suggestion
from virtlab.errors import SettingError, SettingFault

Settings = Mapping[str, NDArray[Any]]
"""Parameter name to one value per setting: float64, or strings for a categorical parameter."""


def check_settings(settings: Settings, parameters: Sequence[Parameter]) -> Settings:
    """Return settings as float64 or string arrays of one length, or say what is wrong.

    The arrays are new and read-only: nobody downstream can change what was checked.

    Raises
    ------
    SettingError
        See `condition`. It holds the first fault of each parameter.
    """
    names = [parameter.name for parameter in parameters]
    faults = [
        SettingFault(name, None, f"unknown parameter{suggestion(name, names)}")
        for name in settings
        if name not in names
    ]
    checked = {}
    for parameter in parameters:
        if parameter.name not in settings:
            text = "missing; every parameter of the experiment needs a value"
            faults.append(SettingFault(parameter.name, None, text))
            continue
        values = _checked(np.asarray(settings[parameter.name]), parameter)
        if isinstance(values, SettingFault):
            faults.append(values)
        else:
            values.flags.writeable = False
            checked[parameter.name] = values
    refuse_settings(faults)
    lengths = {name: len(values) for name, values in checked.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise SettingError(f"parameters have different numbers of settings: {told}")
    return checked


def refuse_settings(faults: Sequence[SettingFault]) -> None:
    """Raise the faults together, one line each."""
    if faults:
        lines = [f"parameter {fault.parameter!r}: {fault.text}" for fault in faults]
        raise SettingError("\n".join(lines), faults)


def _checked(values: NDArray[Any], parameter: Parameter) -> NDArray[Any] | SettingFault:
    """One parameter's values as new float64 or string arrays, or the first fault in them."""
    name = parameter.name
    if values.ndim != 1:
        text = f"expected one value per setting, found an array of shape {values.shape}"
        return SettingFault(name, None, text)
    if parameter.kind == "categorical":
        return _checked_categories(categories_of(values), parameter)
    not_number = _first_not_number(values)
    if not_number is not None:
        text = f"expected a number, found {str(values[not_number])[:60]!r}"
        return SettingFault(name, not_number, text)
    try:
        numbers = values.astype(np.float64)
    except OverflowError:
        return SettingFault(name, None, "expected numbers below 1e308")
    finite = np.isfinite(numbers)
    if not finite.all():
        at = int(np.argmin(finite))
        return SettingFault(name, at, f"expected a finite number, found {numbers[at]}")
    if parameter.kind == "integer":
        whole = np.round(numbers)
        # Unit conversion and ranges leave 2.9999999999999996 where a person wrote 3.
        apart = np.abs(numbers - whole) > 1e-9 * np.maximum(np.abs(whole), 1)
        if apart.any():
            at = int(np.argmax(apart))
            text = f"expected a whole number, found {_written(numbers[at])}"
            return SettingFault(name, at, text)
        numbers = whole
    numbers += 0.0  # -0.0 becomes 0.0: equal settings have equal bytes
    return _within_bounds(numbers, parameter)


def _first_not_number(values: NDArray[Any]) -> int | None:
    """Where the first value is that is no real number; True and "10" are none."""
    if values.dtype.kind in "fiu" or not len(values):
        return None
    if values.dtype.kind != "O":
        return 0
    sound = (int, float, np.integer, np.floating)
    for index, value in enumerate(values.tolist()):
        if isinstance(value, bool) or not isinstance(value, sound):
            return index
    return None


def _checked_categories(names: NDArray[Any], parameter: Parameter) -> NDArray[Any] | SettingFault:
    unknown = set(names.tolist()) - set(parameter.categories) if parameter.categories else set()
    if not unknown:
        return names
    at = next(index for index, name in enumerate(names.tolist()) if name in unknown)
    known = sorted(parameter.categories)
    text = f"unknown category {names[at][:60]!r}{suggestion(names[at], known)}"
    return SettingFault(parameter.name, at, text)


def _within_bounds(
    numbers: NDArray[np.float64], parameter: Parameter
) -> NDArray[np.float64] | SettingFault:
    """Numbers moved onto a bound that they miss by rounding only, or the first one outside."""
    if parameter.bounds is None:
        return numbers
    low, high = parameter.bounds
    span = high - low if math.isfinite(high - low) else 0.0
    slack = [1e-9 * max(span, abs(end)) if math.isfinite(end) else 0.0 for end in (low, high)]
    outside = (numbers < low - slack[0]) | (numbers > high + slack[1])
    if outside.any():
        at = int(np.argmax(outside))
        units = f" {parameter.units}" if parameter.units not in ("", "1") else ""
        text = (
            f"{_written(numbers[at])}{units} is outside its bounds "
            f"[{_written(low)}, {_written(high)}]"
        )
        return SettingFault(parameter.name, at, text)
    return np.clip(numbers, low, high)


def _written(number: float) -> str:
    """Digits enough that a value just outside a bound does not read like the bound."""
    return f"{number:.12g}"


def first_outside(values: NDArray[Any], wanted: Parameter) -> SettingFault | None:
    """Find the first of checked values that is outside the bounds of another `Parameter`."""
    if wanted.kind == "categorical" or wanted.bounds is None:
        return None
    found = _within_bounds(values, wanted)
    return found if isinstance(found, SettingFault) else None


def categories_of(values: NDArray[Any]) -> NDArray[Any]:
    """Name the categories that values of any dtype stand for, as an object array of strings.

    Text stands for itself, bytes for their UTF-8 text, whole numbers for their digits
    without a decimal point (so that 0, 0.0 and "0" are one category).
    """
    values = np.asarray(values)
    if values.dtype.kind in "UT":
        return values.astype(object)
    if values.dtype.kind == "O":
        names = [_category(value) for value in values.ravel().tolist()]
        return np.array(names, dtype=object).reshape(values.shape)
    unique, inverse = np.unique(values, return_inverse=True)
    names = [_category(value) for value in unique]
    return np.array(names, dtype=object)[inverse.reshape(values.shape)]


def _category(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float | np.floating) and value == np.floor(value):
        return str(int(value)) if np.isfinite(value) else str(value)
    return str(value)  # of a numpy scalar: the shortest digits for its own precision
