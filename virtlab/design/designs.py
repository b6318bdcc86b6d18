"""The designs: grid, zip, Sobol, Latin hypercube, table.

Each comes down to values per parameter. Those are checked before they are combined: a fault is
told where it was written, and a grid costs the check of its axes, not of all its settings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, check_settings, suggestion
from virtlab.config import Params, Range, Values
from virtlab.design.sampling import sample
from virtlab.design.table import read_table
from virtlab.errors import ConfigError, SettingError, SettingFault

MOST_SETTINGS = 10**7
"""Beyond this, settings alone take gigabytes; a design that large is a slip of the pen."""

Where = Callable[[SettingFault], str]
"""Says of a fault where its value was written."""


@dataclass(frozen=True)
class Design:
    """The settings to simulate.

    Parameters
    ----------
    settings
        One array of shape ``(size,)`` per parameter, in the experiment's order: float64, or
        strings (object). A grid is flattened in C order: its last axis varies fastest.
    axes
        Of a grid: the parameters that vary, outermost first, and their values. Empty for
        other designs.
    """

    settings: dict[str, NDArray[Any]]
    axes: dict[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of settings."""
        return len(next(iter(self.settings.values()))) if self.settings else 0


def make_design(params: Params, parameters: Sequence[Parameter]) -> Design:
    """Make the settings that params.toml describes, for a model's parameters.

    Raises
    ------
    ConfigError
        The design cannot be made of what the file gives.
    SettingError
        A setting is impossible. Both name the file and the key, or the line.
    """
    file = params.path.name
    given = params.parameters
    _check_names(given, parameters, f"{file}: parameters.", complete=params.design != "table")

    def where(fault: SettingFault) -> str:
        return f"{file}: parameters.{fault.parameter}"

    if params.design == "table":
        path = params.path.parent / str(params.file)
        columns, where_in = read_table(path, _constants(params), parameters, where)
        return Design(_broadcast(_checked(columns, parameters, where_in)))
    if params.design in ("sobol", "latin-hypercube"):
        size = params.size or 1  # a Params of these designs has a size
        by_name = {parameter.name: parameter for parameter in parameters}
        drawn = sample(params.design, given, by_name, size, params.seed, f"{file}: parameters.")
        return Design(_broadcast(_checked(drawn, parameters, where), size))
    values = {name: _steps(value, f"{file}: parameters.{name}") for name, value in given.items()}
    checked = _checked(values, parameters, where)
    if params.design == "grid":
        return _grid(checked, order=given, file=f"{file}: ")
    _check_lengths(checked, file)
    return Design(_broadcast(checked))


def design_from(settings: Mapping[str, Any], parameters: Sequence[Parameter]) -> Design:
    """Make a grid from plain Python: scalars are constant, sequences vary.

    Raises
    ------
    SettingError
        A parameter is missing or unknown, or a value impossible.
    ConfigError
        The grid is too large.
    """
    _check_names(settings, parameters, "parameter ", complete=True)
    values = {}
    for name, given in settings.items():
        try:
            array = np.asarray(given)
        except ValueError as error:  # lists of different lengths
            raise SettingError(f"parameter {name}: expected a value or a flat list") from error
        if array.ndim > 1 or array.size == 0:
            raise SettingError(
                f"parameter {name}: expected a value or a flat list, "
                f"found an array of shape {array.shape}"
            )
        values[name] = array.reshape(-1)
    checked = _checked(values, parameters, lambda fault: f"parameter {fault.parameter}")
    return _grid(checked, order=settings)


def _check_names(
    given: Iterable[str], parameters: Sequence[Parameter], prefix: str, *, complete: bool
) -> None:
    """Refuse unknown parameters and, where all are asked for, missing ones."""
    given, names = list(given), [parameter.name for parameter in parameters]
    told = [
        f"{prefix}{name}: unknown parameter{suggestion(name, names)}"
        for name in given
        if name not in names
    ]
    if complete:
        told += [
            f"{prefix}{name}: missing; every parameter of the experiment needs a value"
            for name in names
            if name not in given
        ]
    if told:
        raise SettingError("\n".join(told))


def _checked(
    values: Mapping[str, NDArray[Any]], parameters: Sequence[Parameter], where: Where
) -> dict[str, NDArray[Any]]:
    """Check each parameter's values, in the experiment's order; lengths may differ."""
    checked: dict[str, NDArray[Any]] = {}
    faults: list[SettingFault] = []
    for parameter in parameters:
        try:
            checked |= check_settings({parameter.name: values[parameter.name]}, [parameter])
        except SettingError as error:
            faults += error.faults
    if faults:
        raise SettingError("\n".join(f"{where(f)}: {f.text}" for f in faults), faults)
    return checked


def _steps(given: Values, key: str) -> NDArray[Any]:
    """Return the values of one parameter of a grid or zip; one value for a constant."""
    if not isinstance(given, Range):
        return np.asarray(given).reshape(-1)
    if given.start is None or given.stop is None:
        raise ConfigError(
            f"{key}: a grid or zip needs a value, a list or {{ start, stop, num }}; "
            'low and high belong to design = "sobol" and "latin-hypercube"'
        )
    if given.num is not None:
        space = np.geomspace if given.scale == "log" else np.linspace
        with np.errstate(over="ignore", invalid="ignore"):  # the check of the values finds it
            return np.asarray(space(given.start, given.stop, given.num))
    # In decimals, so that steps of 0.1 are what a person would write: 0.3, not 0.30…04.
    start, stop, step = (Decimal(repr(x)) for x in (given.start, given.stop, given.step or 1.0))
    count = math.floor((stop - start) / step + Decimal("1e-9")) + 1
    return np.array([float(start + step * index) for index in range(count)])


def _grid(values: Mapping[str, NDArray[Any]], order: Iterable[str], file: str = "") -> Design:
    """Combine all values of all parameters; `order` is that of the axes, outermost first."""
    axes = {name: values[name] for name in order if len(values[name]) > 1}
    for name, axis in axes.items():
        twice = next((value for value, n in Counter(axis.tolist()).items() if n > 1), None)
        if twice is not None:
            raise SettingError(
                f"{file}parameters.{name}: {twice} stands in it twice; "
                "a grid needs different values"
            )
    size = math.prod(len(axis) for axis in axes.values())
    if size > MOST_SETTINGS:
        lengths = " x ".join(f"{len(axis):,}" for axis in axes.values())
        raise ConfigError(
            f"{file}a grid of {lengths} = {size:,} settings is too large (at most "
            f'{MOST_SETTINGS:,}); give fewer values, or use design = "sobol"'
        )
    spread, outer = {}, 1
    for name, axis in axes.items():
        spread[name] = np.tile(np.repeat(axis, size // (outer * len(axis))), outer)
        outer *= len(axis)
    constant = {name: np.repeat(values[name], size) for name in values if name not in axes}
    settings = spread | constant
    return Design({name: settings[name] for name in values}, axes)


def _check_lengths(values: Mapping[str, NDArray[Any]], file: str) -> None:
    """Refuse a zip of lists of different lengths."""
    lengths = {name: len(array) for name, array in values.items() if len(array) > 1}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise SettingError(
            f'{file}: parameters: design = "zip" takes the first values together, then the '
            f"second, so lists need one length; {told}"
        )


def _broadcast(values: Mapping[str, NDArray[Any]], size: int | None = None) -> dict[str, Any]:
    """Repeat single values as often as the others are long."""
    size = size or max((len(array) for array in values.values()), default=0)
    return {
        name: array if len(array) == size else np.repeat(array, size)
        for name, array in values.items()
    }


def _constants(params: Params) -> dict[str, NDArray[Any]]:
    """Return the constants that accompany a table."""
    for name, given in params.parameters.items():
        if isinstance(given, Range | list):
            raise ConfigError(
                f'{params.path.name}: parameters.{name}: design = "table" takes only a single '
                f"value here; values that vary belong into {params.file}"
            )
    return {name: np.asarray(given).reshape(-1) for name, given in params.parameters.items()}
