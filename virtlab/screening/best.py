"""The best that was measured so far, and how far a virtual trial goes beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.conditioning import Parameter, categories_of, suggestion
from virtlab.errors import DataError
from virtlab.screening.front import on_front
from virtlab.screening.objective import Floats, Objective, values_of
from virtlab.screening.outcomes import Outcomes
from virtlab.simulation.kept import keeps_trials, read_kept
from virtlab.trials import TRIAL, Measurement

if TYPE_CHECKING:
    import xarray as xr

    from virtlab.simulation import Model


@dataclass(frozen=True)
class Best:
    """What the best measured trials have reached.

    Parameters
    ----------
    values
        The trials that no other one beats, ``(trial, goal)``: one for one goal. Of a target the
        distance. None where no trial meets all requirements.
    source
        Where they come from, in words.
    """

    values: Floats
    source: str


def best_known(objective: Objective, model: Model, data: xr.Dataset | None) -> Best | None:
    """Find the best measured trials: in `data`, else as params.toml says, else in the model file.

    Returns
    -------
    Best or None
        With no values where no trial meets all requirements; None where nothing is known.

    Raises
    ------
    DataError
        `data` lack what the objective names, or have it otherwise.
    ModelFileError
        The trials that the model file keeps do not fit the rest of it.
    """
    if not objective.goals:
        return None
    if data is not None:
        values = {name: _in_terms_of(model, name, data) for name in objective.names}
        return best_of(objective, values, f"of {data.sizes[TRIAL]:,} trials of --data")
    if objective.best is not None:
        row = zip(objective.goals, objective.best, strict=True)
        reached = [b if g.target is None else abs(b - g.target) for g, b in row]
        return Best(np.array([reached]), "as params.toml says")
    if not keeps_trials(model):
        return None
    kept = read_kept(model)
    if len(kept.setting) < model.manifest["data"]["trials"]:
        return None
    known = kept.settings_of_trials | kept.trials
    values = {name: known[name] for name in objective.names}
    return best_of(objective, values, f"of the {len(kept.setting):,} trials that trained the model")


def settings_in(model: Model, data: xr.Dataset) -> dict[str, NDArray[Any]]:
    """Settings of a lab's trials in the model's units, but for those with unknown categories.

    Raises
    ------
    DataError
        A parameter is missing, or has other units.
    """
    found = {item.name: _in_terms_of(model, item.name, data) for item in model.parameters}
    named = np.ones(data.sizes[TRIAL], bool)
    for item in model.parameters:
        if item.kind == "categorical":
            found[item.name] = categories_of(found[item.name])
            named &= np.isin(found[item.name], item.categories)
    return {name: values[named] for name, values in found.items()}


def best_of(objective: Objective, values: Mapping[str, NDArray[Any]], source: str) -> Best:
    """Evaluate the objective in measured trials, and keep those that no other one beats.

    Parameters
    ----------
    values
        Parameters ``(trial,)`` and measurements ``(trial, *own dims)`` that it names, in the
        model's units; NaN where missing: such a trial is passed over.
    """
    size = len(next(iter(values.values())))
    arrays = values_of(objective.names, {}, {name: v[:, None] for name, v in values.items()})
    found = objective.values_of(arrays, (size, 1))[:, :, 0].T
    met = objective.met_by(arrays, (size, 1))[:, 0] & np.isfinite(found).all(axis=1)
    front = on_front(found[met] * objective.signs)
    return Best(np.unique(found[met][front], axis=0), source)


def improvement(outcomes: Outcomes, best: Best) -> tuple[Floats, Floats | None]:
    """How often, and of one goal how far, a trial goes beyond the best measured one.

    Every virtual trial counts, whichever member drew it, one that does not meet all
    requirements as none: noise and ignorance are in it as they are drawn.

    Returns
    -------
    probability
        That a trial meets all requirements and is beaten by no measured one, ``(setting,)``.
    expected
        By how much, 0 where it is not better; None for several goals.
    """
    gains = outcomes.gains
    if not len(best.values):
        return outcomes.feasibility, None
    if len(gains) == 1:
        beyond = np.maximum(gains[0] - (best.values * outcomes.signs).max(), 0) * outcomes.met
        return (beyond > 0).mean(axis=1), beyond.mean(axis=1)
    better = outcomes.met.copy()
    for reached in best.values * outcomes.signs:
        better &= (gains > reached[:, None, None]).any(axis=0)
    share: Floats = better.mean(axis=1)
    return share, None


def _in_terms_of(model: Model, name: str, data: xr.Dataset) -> NDArray[Any]:
    """A parameter or measurement of the lab's trials, in the model's shape and unit."""
    from virtlab.storage.units import convert

    items: list[Parameter | Measurement] = [*model.parameters, *model.measurements]
    known = next(item for item in items if item.name == name)
    names = [str(n) for n in data.variables if TRIAL in data[n].dims]
    if name not in names:
        raise DataError(f"--data: no {name!r}, which the objective names{suggestion(name, names)}")
    dims, shape = getattr(known, "dims", ()), getattr(known, "shape", ())
    found = data[name]
    if set(found.dims) == {TRIAL, *dims}:
        found = found.transpose(TRIAL, *dims)
    texts = known.kind == "categorical"
    alike = found.dtype.kind in ("OSU" if texts else "iufb")
    if found.dims != (TRIAL, *dims) or found.shape[1:] != shape or not alike:
        raise DataError(
            f"--data: {name!r} has {dict(found.sizes)} of {found.dtype}, the model knows "
            f"{dict(zip(dims, shape, strict=True)) or 'one number'} per trial; describe it as in "
            "the experiment.toml that the model was trained with"
        )
    if texts:
        return found.values.astype(object)
    _check_axes(model, name, found)
    try:
        return convert(
            found.values.astype(np.float64), str(found.attrs.get("units", "")), known.units
        )
    except DataError as error:
        raise DataError(f"--data: {name!r}: {error}") from error


def _check_axes(model: Model, name: str, found: xr.DataArray) -> None:
    """A peak's position would be another along another axis."""
    for dim in found.dims[1:]:
        wanted = model.manifest["coords"].get(dim)
        if wanted is None or dim not in found.coords:
            continue
        values, own = np.asarray(wanted["values"]), found[dim].values
        numbers = values.dtype.kind in "iuf" and own.dtype.kind in "iuf"
        if not (np.allclose(own, values, rtol=1e-6) if numbers else (own == values).all()):
            raise DataError(
                f"--data: {name!r} has another axis {str(dim)!r} than the model was trained with"
            )
