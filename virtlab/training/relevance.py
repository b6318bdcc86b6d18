"""Which parameters the model found relevant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab import plugins
from virtlab.conditioning import condition
from virtlab.config import Experiment
from virtlab.errors import VirtlabError
from virtlab.gan.blocks import Blocks, Floats
from virtlab.gan.fit import Fit
from virtlab.gan.relevance import relevance
from virtlab.training.learnable import Learnable

if TYPE_CHECKING:
    import xarray as xr

CLEAR = 2.0  # standard errors


def find_relevance(
    fit: Fit,
    blocks: Blocks,
    trials: xr.Dataset,
    learnable: Learnable,
    experiment: Experiment,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """How much each parameter matters to the measurements, judged on held-out settings.

    Returns
    -------
    relevance
        By parameter: ``rise`` of the energy score where the parameter is shuffled among the
        trials (1: as bad as ignoring all parameters), its standard ``error``, whether it is
        ``clear``, and the labels of the ``features`` that it moves. A parameter that the
        conditioner will not have shuffled is left out; one that never varies has a rise of 0.
    """
    rng = np.random.default_rng(seed)
    shuffled = {}
    for parameter in learnable.parameters:
        order = rng.permutation(len(blocks))
        conditions = _shuffled(trials, learnable, experiment, parameter.name, order)
        if conditions is not None:
            shuffled[parameter.name] = conditions
    return {
        name: {
            "rise": rise,
            "error": error,
            "clear": bool(rise > CLEAR * error),
            "features": _moved(learnable, shuffled[name]),
        }
        for name, (rise, error) in relevance(fit, blocks, shuffled, seed).items()
    }


def _moved(learnable: Learnable, shuffled: Floats) -> list[str]:
    """Labels of the features that a shuffled parameter changed."""
    moved = (shuffled != learnable.conditions).any(axis=0)
    return [label for label, changed in zip(learnable.labels, moved, strict=True) if changed]


def _shuffled(
    trials: xr.Dataset,
    learnable: Learnable,
    experiment: Experiment,
    name: str,
    order: np.ndarray[Any, np.dtype[np.intp]],
) -> Floats | None:
    """Conditions of the trials with one parameter shuffled; None: they cannot be."""
    settings = {p.name: trials[p.name].values for p in learnable.parameters}
    settings[name] = settings[name][order]
    conditioner = plugins.conditioner(experiment.experiment.conditioner)
    try:
        encoded = condition(conditioner, settings, learnable.parameters, experiment.conditioner)
    except VirtlabError:
        return None
    found: Floats = ((encoded.values - learnable.center) / learnable.scale).astype(np.float32)
    return found
