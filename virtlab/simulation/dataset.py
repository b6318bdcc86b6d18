"""Virtual trials as a labelled Dataset that cannot be mistaken for measured data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

import virtlab
from virtlab.design import Design
from virtlab.simulation.drawing import Drawn
from virtlab.trials import SETTING, TRIAL, Measurement

if TYPE_CHECKING:
    from virtlab.simulation.model import Model


def make_dataset(
    model: Model, design: Design, drawn: Drawn, *, seed: int, params_text: str = ""
) -> xr.Dataset:
    """Label what was drawn.

    Returns
    -------
    xr.Dataset
        Grid: one dim per parameter that varies, ``trial``, own dims; constant parameters are
        scalar coordinates. Other designs: dim ``setting`` with the parameters on it.
    """
    dims = tuple(design.axes) if design.axes else (SETTING,)
    shape = tuple(len(values) for values in design.axes.values()) or (design.size,)
    single = design.size == 1 and not design.axes
    if single:
        dims, shape = (), ()
    data: dict[str, Any] = {}
    for measurement in model.measurements:
        values = drawn.measurements[measurement.name]
        data[measurement.name] = (
            (*dims, TRIAL, *measurement.dims),
            values.reshape(*shape, *values.shape[1:]),
            _measurement_attrs(model, measurement),
        )
    data["member"] = (
        (*dims, TRIAL),
        drawn.member.reshape(*shape, -1),
        {"long_name": "ensemble member that drew the trial", "units": "1"},
    )
    data["domain"] = (dims, drawn.domain.reshape(shape), {"long_name": DOMAIN_NAME})
    data["domain_distance"] = (
        dims,
        drawn.domain_distance.reshape(shape),
        {
            "long_name": "distance to the nearest training setting; up to 1 is inside the data",
            "units": "1",
        },
    )
    return xr.Dataset(data, _coords(model, design, dims), provenance(model, seed, params_text))


DOMAIN_NAME = "whether the setting lies inside the training data"


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


def _coords(model: Model, design: Design, dims: tuple[str, ...]) -> dict[str, Any]:
    """Parameters, the trial axis, and the measurements' own axes."""
    coords: dict[str, Any] = {}
    for parameter in model.parameters:
        attrs = {"units": parameter.units or "1"} if parameter.kind != "categorical" else {}
        values = design.settings[parameter.name]
        if parameter.name in design.axes:
            coords[parameter.name] = (parameter.name, design.axes[parameter.name], attrs)
        elif dims == (SETTING,):
            coords[parameter.name] = (SETTING, values, attrs)
        else:
            coords[parameter.name] = ((), values[0], attrs)
    for name, found in model.manifest["coords"].items():
        attrs = {"units": found["units"]} if found["units"] else {}
        coords[name] = (tuple(found["dims"]), np.asarray(found["values"]), attrs)
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
