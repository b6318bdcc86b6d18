"""Conformance checks for plugin authors: one line in a test checks a conditioner or a reader."""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import (
    Conditioner,
    Conditions,
    Parameter,
    bind,
    condition,
    constraints_of,
    refuse_broken,
)
from virtlab.config import Experiment
from virtlab.errors import DataError, PluginError
from virtlab.plugins import RawArray, RawTrials, Reader
from virtlab.scaling import Column
from virtlab.trials import Measurement

_DRAWS = 64

_ANY_PARAMETERS = (
    Parameter("linear", bounds=(-1.0, 3.0), units="V"),
    Parameter("logarithmic", scale="log", bounds=(1e-3, 10.0), units="mol/L"),
    Parameter("reciprocal", scale="reciprocal", bounds=(280.0, 400.0), units="K"),
    Parameter("whole", kind="integer", bounds=(0, 9)),
    Parameter("angle", kind="cyclic", period=360.0, units="degree"),
    Parameter("choice", kind="categorical", categories=("a", "b", "c")),
)


def check_conditioner(
    conditioner: Conditioner,
    parameters: Sequence[Parameter] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    ignores: Sequence[str] = (),
    measurements: Sequence[Measurement] = (),
) -> None:
    """Run a conditioner on settings drawn within bounds, and check all that virtlab relies on.

    It must be pure (the same settings give the same conditions, its arguments stay as they
    were), see each setting by itself, label its features the same whatever the settings, and
    tell settings apart. Constraints that it declares must be the same each time, fit the
    measurements, and hold for whatever networks may draw.

    Parameters
    ----------
    conditioner
        What the plugin's entry point names.
    parameters
        An experiment's parameters; None: those it declares, or one of every kind.
    options
        The table ``[conditioner]`` of experiment.toml.
    seed
        Of the settings drawn.
    ignores
        Parameters that deliberately change nothing.
    measurements
        An experiment's measurements, for the constraints.

    Raises
    ------
    PluginError
        What it does wrong.
    SettingError
        It cannot take a setting that is within the bounds.
    ConfigError
        A constraint cannot hold for its measurement.
    """
    if not isinstance(conditioner, Conditioner):
        raise PluginError(f"expected a virtlab.Conditioner, found {type(conditioner).__name__}")
    what = f"conditioner {conditioner.name!r}"
    if parameters is None:
        parameters = conditioner.parameters or _ANY_PARAMETERS
    settings = _draw_settings(parameters, np.random.default_rng(seed))
    given = copy.deepcopy(dict(options or {}))

    def run(rows: Any = slice(None)) -> Conditions:
        chosen = {name: values[rows] for name, values in settings.items()}
        return condition(conditioner, chosen, parameters, given)

    whole = run()
    if given != dict(options or {}):
        raise PluginError(f"{what} changed its options; copy what you change")
    _check_labels(what, whole.labels)
    again = run()
    if again.labels != whole.labels or not np.array_equal(again.values, whole.values):
        raise PluginError(f"{what} gave other conditions for the same settings; it must be pure")
    _check_rows(what, whole, run)
    _check_influence(what, whole, conditioner, settings, parameters, given, ignores)
    if measurements:
        _check_constraints(what, conditioner, settings, parameters, given, measurements)


def check_reader(reader: Reader, path: str | Path, experiment: Experiment) -> None:
    """Read a real file, and check all that virtlab relies on.

    The reader must return what the experiment names, as numpy arrays with one entry per
    trial, close the file, leave its bytes alone, and read the same a second time.

    Parameters
    ----------
    reader
        What the plugin's entry point names.
    path
        A lab file that it can read.
    experiment
        The experiment that the file belongs to; see `virtlab.config.parse_experiment`.

    Raises
    ------
    PluginError
        What it does wrong.
    DataError
        It refuses the file.
    """
    if not isinstance(reader, Reader):
        raise PluginError(f"expected a virtlab.Reader, found {type(reader).__name__}")
    path, what = Path(path), f"reader {reader.name!r}"
    before = _state(path)
    raw = reader.read(path, experiment)
    if _is_open(path):
        raise PluginError(f"{what} left {path.name} open; read it inside a with statement")
    _check_raw(what, raw, experiment)
    again = reader.read(path, experiment)
    _check_raw(what, again, experiment)
    if not _same_trials(raw, again):
        raise PluginError(f"{what} read something else the second time; it must be pure")
    if _state(path) != before:
        raise PluginError(f"{what} changed {path.name}; open lab files for reading only")


def _draw_settings(
    parameters: Sequence[Parameter], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Draw settings, the first two at the bounds; shape ``(setting,)`` each."""
    return {parameter.name: _draw_values(parameter, rng) for parameter in parameters}


def _draw_values(parameter: Parameter, rng: np.random.Generator) -> NDArray[Any]:
    if parameter.kind == "categorical":
        if not parameter.categories:
            raise PluginError(f"parameter {parameter.name!r}: give it categories to draw from")
        categories = np.array(parameter.categories, dtype=object)
        # Each category at least once: an encoding may fail at a single one of them.
        return categories[rng.permutation(max(_DRAWS, len(categories))) % len(categories)][:_DRAWS]
    low, high = _finite_bounds(parameter)
    if parameter.scale == "log":
        values = np.exp(rng.uniform(math.log(low), math.log(high), _DRAWS))
    else:
        values = rng.uniform(low, high, _DRAWS)
    values[:2] = low, high
    if parameter.kind == "integer":
        values = np.clip(np.round(values), math.ceil(low), math.floor(high))
    return np.clip(values, low, high)


def _finite_bounds(parameter: Parameter) -> tuple[float, float]:
    """Return bounds to draw within, where the parameter has none or infinite ones."""
    if parameter.bounds is None and parameter.kind == "cyclic":
        return 0.0, 0.9 * (parameter.period or 2 * math.pi)
    low, high = parameter.bounds or (-math.inf, math.inf)
    positive = parameter.scale != "linear"
    if not math.isfinite(low):
        usual = 0.1 if positive else -10.0
        low = min(usual, high - 10.0) if math.isfinite(high) else usual
    if not math.isfinite(high):
        high = max(10.0, low + 10.0)
    return low, high


def _check_labels(what: str, labels: Sequence[str]) -> None:
    """Labels go into the model file as text, and identify features."""
    for label in labels:
        if not label or not label.isprintable():
            raise PluginError(f"{what}: the label {label!r} is not printable text")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise PluginError(f"{what}: the label {twice[0]!r} stands for several features")


def _check_rows(what: str, whole: Conditions, run: Callable[[Any], Conditions]) -> None:
    """Encode parts of the settings: `simulate` does so in blocks of any size."""
    backwards, single = slice(None, None, -1), slice(3, 4)
    for rows in (backwards, slice(5, 12), single):
        part = run(rows)
        if part.labels != whole.labels:
            raise PluginError(
                f"{what}: labels depend on the settings: {', '.join(whole.labels)} for all of "
                f"them, {', '.join(part.labels)} for some; derive labels from the parameters only"
            )
        if not np.allclose(part.values, whole.values[rows], rtol=1e-5, atol=1e-6):
            raise PluginError(
                f"{what}: the condition of a setting depends on the other settings; "
                "scale by the parameters' bounds, not by the values' mean or range"
            )


def _check_influence(
    what: str,
    whole: Conditions,
    conditioner: Conditioner,
    settings: Mapping[str, NDArray[Any]],
    parameters: Sequence[Parameter],
    options: Mapping[str, Any],
    ignores: Sequence[str],
) -> None:
    """Change one parameter at a time: a condition that stays makes it invisible to the model."""
    for name, values in settings.items():
        moved = np.roll(values, 1)
        changed = moved != values
        if name in ignores or not changed.any():
            continue
        other = condition(conditioner, {**settings, name: moved}, parameters, options)
        if np.array_equal(other.values[changed], whole.values[changed]):
            raise PluginError(
                f"{what}: parameter {name!r} changes no condition, so a model could not learn "
                f"what it does; encode it, or say check_conditioner(…, ignores=[{name!r}])"
            )


def _check_constraints(
    what: str,
    conditioner: Conditioner,
    settings: Mapping[str, NDArray[Any]],
    parameters: Sequence[Parameter],
    options: Mapping[str, Any],
    measurements: Sequence[Measurement],
) -> None:
    """See that constraints are always the same, and that wild draws obey them."""
    declared = constraints_of(conditioner, measurements, parameters, options)
    if constraints_of(conditioner, measurements, parameters, options) != declared:
        raise PluginError(f"{what} gave other constraints the second time; it must be pure")
    bound, bonds = bind(declared, measurements, parameters)
    rng = np.random.default_rng(0)
    for measurement in bound:
        bond = bonds.get(measurement.name)
        if bond is None:
            continue
        column = Column(measurement, constraint=bond, least=(0.0,) * measurement.size)
        totals = column.totals(settings, _DRAWS)
        wild = np.abs(rng.standard_t(1, (_DRAWS, measurement.size))).astype(np.float32)
        drawn = column.scale_up(wild, None, totals)
        try:
            refuse_broken(bond, measurement, drawn, settings)
        except DataError as error:
            raise PluginError(f"{what}: drawn at settings within bounds, {error}") from error


def _check_raw(what: str, raw: RawTrials, experiment: Experiment) -> None:
    """Compare what a reader returned with what the experiment names."""
    if not isinstance(raw, RawTrials):
        raise PluginError(f"{what} returned a {type(raw).__name__}, expected a virtlab.RawTrials")
    tables = experiment.measurements
    coords = {name for table in tables.values() for name in table.coords}
    wanted = {
        "parameters": {name for name, table in experiment.parameters.items() if table.path},
        "measurements": set(tables),
        "coords": coords,
    }
    for role, names in wanted.items():
        given = getattr(raw, role)
        if set(given) != names:
            raise PluginError(
                f"{what} returned the {role} {sorted(given)}, the experiment names {sorted(names)}"
            )
        for name, array in given.items():
            if not isinstance(array, RawArray) or not isinstance(array.values, np.ndarray):
                raise PluginError(f"{what}: {role} {name!r} is no RawArray of a numpy array")
    if (raw.weights is None) != (experiment.data.weights is None):
        raise PluginError(
            f"{what}: weights are {'missing' if raw.weights is None else 'given'}, the "
            f"experiment says [data] weights = {experiment.data.weights!r}"
        )
    if not experiment.data.grid:  # a gridded scan is flattened by the core
        _check_lengths(what, raw)


def _check_lengths(what: str, raw: RawTrials) -> None:
    lengths = {name: array.values.shape[:1] for name, array in raw.measurements.items()}
    lengths |= {
        name: array.values.shape[:1]
        for name, array in raw.parameters.items()
        if array.values.shape not in ((), (1,))
    }
    if len(set(lengths.values())) > 1 or () in lengths.values():
        told = ", ".join(
            f"{name} {length[0] if length else 'none'}" for name, length in lengths.items()
        )
        raise PluginError(f"{what}: the first axis must count trials in all arrays; found {told}")


def _state(path: Path) -> tuple[int, str]:
    """Return when a file was last changed, and the hash of its bytes."""
    with path.open("rb") as file:
        return path.stat().st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()


def _is_open(path: Path) -> bool:
    """Tell whether this process holds a file open."""
    handles = Path("/proc/self/fd")
    if handles.is_dir():
        return any(_leads_to(handle, path) for handle in handles.iterdir())
    aside = path.with_name(path.name + ".partial")
    try:  # Windows refuses to rename an open file
        path.rename(aside)
    except OSError:
        return True
    aside.rename(path)
    return False


def _leads_to(handle: Path, path: Path) -> bool:
    try:
        return os.path.samestat(handle.stat(), path.stat())
    except OSError:  # closed since it was listed
        return False


def _same_trials(first: RawTrials, second: RawTrials) -> bool:
    """Compare two readings, missing values included."""
    return all(
        _same(one, getattr(second, role)[name])
        for role in ("parameters", "measurements", "coords")
        for name, one in getattr(first, role).items()
    )


def _same(first: RawArray, second: RawArray) -> bool:
    if first.units != second.units or first.values.dtype != second.values.dtype:
        return False
    floats = first.values.dtype.kind in "fc"
    return np.array_equal(first.values, second.values, equal_nan=floats)
