"""What virtual trials are called: dims, units, coordinates, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import virtlab
from virtlab.design import Design
from virtlab.domain import verdicts
from virtlab.simulation.drawing import MEMBER, dtype_of
from virtlab.storage.template import Template, Variable, cut
from virtlab.trials import SETTING, TRIAL, Measurement

if TYPE_CHECKING:
    from virtlab.simulation.model import Model

DOMAIN_NAME = "whether the setting lies inside the training data"
MEMBER_BYTES = 2


def make_template(
    model: Model, design: Design, *, trials: int, seed: int, params_text: str = ""
) -> Template:
    """Say what the virtual trials of a design will be.

    Returns
    -------
    Template
        Grid: one dim per parameter that varies, ``trial``, own dims; constant parameters are
        scalar coordinates. Other designs: dim ``setting`` with the parameters on it.
    """
    dims, shape = _lead(design)
    each, own = (*shape, trials), (*dims, TRIAL)
    variables = {
        column.measurement.name: Variable(
            (*own, *column.measurement.dims),
            (*each, *column.measurement.shape),
            dtype_of(column),
            _measurement_attrs(model, column.measurement),
            categories=column.measurement.categories,
        )
        for column in model.columns
    }
    variables[MEMBER] = Variable(
        own,
        each,
        np.dtype(np.int16),
        {"long_name": "ensemble member that drew the trial", "units": "1"},
    )
    trial_bytes = sum(
        variable.width * int(np.prod(variable.shape[len(each) :]))
        for variable in variables.values()
    )
    return Template(
        variables=variables | _domain(model, design, dims, shape),
        coords=_coords(model, design, dims),
        attrs=provenance(model, seed, params_text),
        regions=cut(each, trial_bytes, model.runtime.block),
    )


def _lead(design: Design) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Dims of the settings and their lengths; none where there is a single setting."""
    if design.axes:
        return tuple(design.axes), tuple(len(values) for values in design.axes.values())
    return ((), ()) if design.size == 1 else ((SETTING,), (design.size,))


def _domain(
    model: Model, design: Design, dims: tuple[str, ...], shape: tuple[int, ...]
) -> dict[str, Variable]:
    """Whether each setting lies inside the training data, and how far it is from them."""
    distance = model.domain.distance(model.conditions(design.settings))
    far = "distance to the nearest training setting; up to 1 is inside the data"
    return {
        "domain": _known(dims, verdicts(distance).reshape(shape), {"long_name": DOMAIN_NAME}),
        "domain_distance": _known(dims, distance.reshape(shape), {"long_name": far, "units": "1"}),
    }


def _known(dims: tuple[str, ...], values: NDArray[Any], attrs: dict[str, Any]) -> Variable:
    return Variable(dims, values.shape, values.dtype, attrs, values)


def _measurement_attrs(model: Model, measurement: Measurement) -> dict[str, Any]:
    """Unit, name, and how far this measurement can be trusted."""
    score = model.scores[measurement.name]
    trust = {
        "held_out_score": score["model"],
        "held_out_score_of_marginal": score["marginal"],
        "held_out_score_of_nearest_settings": score["nearest"],
        "replicate_floor": score["floor"],
        "held_out_coverage_of_90_percent": score["coverage_90"],
    }
    return {
        "units": measurement.units or "1",
        "long_name": f"virtual {measurement.name}",
        "ancillary_variables": "domain domain_distance",
        **{key: value for key, value in trust.items() if value is not None},
    }


def _coords(model: Model, design: Design, dims: tuple[str, ...]) -> dict[str, Variable]:
    """Parameters, and the measurements' own axes."""
    coords: dict[str, Variable] = {}
    for parameter in model.parameters:
        attrs = {"units": parameter.units or "1"} if parameter.kind != "categorical" else {}
        values = design.settings[parameter.name]
        if parameter.name in design.axes:
            values = design.axes[parameter.name]
            coords[parameter.name] = _known((parameter.name,), values, attrs)
        elif dims == (SETTING,):
            coords[parameter.name] = _known((SETTING,), values, attrs)
        else:
            coords[parameter.name] = _known((), np.array(values[0], values.dtype), attrs)
    for name, found in model.manifest["coords"].items():
        values = np.asarray(found["values"])
        values = values.astype(object) if values.dtype.kind == "U" else values
        attrs = {"units": found["units"]} if found["units"] else {}
        coords[name] = _known(tuple(found["dims"]), values, attrs)
    return coords


def provenance(model: Model, seed: int, params_text: str) -> dict[str, Any]:
    """Where the virtual trials come from; no clock time, so that bytes repeat."""
    conditioner = model.manifest["conditioner"]
    attrs = {
        "Conventions": "CF-1.11",
        "title": f"virtual trials: {model.manifest['experiment']['name']}",
        "source": f"virtlab {virtlab.__version__}: simulated, not measured",
        "virtual_data": 1,
        "virtlab_version": virtlab.__version__,
        "conditioner": f"{conditioner['name']} ({conditioner['distribution']} "
        f"{conditioner['version']})",
        "seed": str(seed),
        "model_sha256": model.file.digest,
        "training_data_sha256": model.manifest["data"]["sha256"],
        "trust": "\n".join(model.manifest["verdict"]) or "no reservations on held-out settings",
    }
    return attrs | ({"params": params_text} if params_text else {})
