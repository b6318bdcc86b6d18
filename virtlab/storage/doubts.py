"""What looks wrong in trials that were read, though nothing forbids it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.trials import name_of_trial

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]

FAR = 30.0
"""How many times as far from the median as all others, but for a few, a wild value lies."""
FEW = 0.01  # share of trials that may be wild: more of them are a heavy tail
FEWEST = 3  # wild trials at most, of however few; different whole numbers of a count, at least
LOOKED_AT = 1_000_000  # values of a measurement that tell what is usual


def doubts(trials: xr.Dataset) -> list[str]:
    """Sentences on measurements that may not be what they are taken for.

    A continuous one of whole numbers alone, of which virtual trials will have fractions; a few
    values so far from all others that scale and scores would be theirs.
    """
    said = []
    for name, variable in trials.data_vars.items():
        kind = variable.attrs.get("kind", "continuous")
        if kind == "categorical":
            continue
        flat = variable.values.reshape(-1)
        if kind == "continuous" and _counts(flat):
            said.append(
                f"{name}: all values are whole numbers; virtual ones will not be: "
                f'set kind = "count" in [measurements.{name}] if it counts something'
            )
        wild, farthest, usual = _wild(variable.values.reshape(len(variable), -1))
        if wild.size:
            value, where = f"{farthest[0]:.6g}", name_of_trial(trials, int(wild[0]))
            more = f", and of {wild.size - 1:,} more trials," if wild.size > 1 else ""
            said.append(
                f"{name}: {value} of {where}{more} is far from all others ({usual[0]:.4g} to "
                f"{usual[1]:.4g}), and spoils scale and scores: if it is an error, say so with "
                f"[data] missing = [{value}], or take it out of the file"
            )
    return said


def _counts(flat: Floats) -> bool:
    """Whether values might be counts: whole, none below 0, several different ones."""
    # The first ones tell nearly always, and spare a copy of the rest.
    for values in (flat[:1000], flat):
        given = values[~np.isnan(values)]
        if not given.size or given.min() < 0 or (given != np.round(given)).any():
            return False
    return len(np.unique(given[:LOOKED_AT])) >= FEWEST


def _wild(values: Floats) -> tuple[NDArray[np.intp], Floats, tuple[float, float]]:
    """Trials with a value far from all others, the farthest first.

    Parameters
    ----------
    values
        ``(trial, value)``. Of a signal the farthest value of each trial counts: a narrow line is
        far from the rest of its signal, but not from the lines of other trials.

    Returns
    -------
    trials, farthest
        Which ones, and that value of each of them.
    usual
        Least and greatest value of the other trials.
    """
    low: Floats = np.fmin.reduce(values, axis=1)  # over NaN
    high: Floats = np.fmax.reduce(values, axis=1)
    flat = values.reshape(-1)
    middle = float(np.nanmedian(flat[:: -(-flat.size // LOOKED_AT)]))
    farthest: Floats = np.where(high - middle > middle - low, high, low)
    distance = np.abs(farthest - middle)
    given = np.sort(distance[~np.isnan(distance)])
    few = max(FEWEST, int(FEW * given.size))
    if given.size <= 3 * few or not given[-few - 1]:
        return np.empty(0, np.intp), farthest[:0], (0.0, 0.0)
    wild = distance > FAR * given[-few - 1]
    places = np.flatnonzero(wild)
    places = places[np.argsort(-distance[places], kind="stable")]
    usual = float(np.fmin.reduce(low[~wild])), float(np.fmax.reduce(high[~wild]))
    return places, farthest[places], usual
