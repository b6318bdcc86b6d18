"""What all members of the ensemble may miss together, at the settings of a design.

Members that learned from nearly the same trials err together, and their disagreement says nothing
of it; what out-of-fold predictions missed does. See `virtlab.screening.ignorance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.screening.ignorance import Ignorance
from virtlab.screening.objective import Floats, Objective
from virtlab.screening.record import make_record

if TYPE_CHECKING:
    from virtlab.simulation import Model

AT_ONCE = 20_000  # settings
WAVES = 512


@dataclass(frozen=True)
class Shared:
    """Errors of the expected goals.

    Parameters
    ----------
    ignorance
        Per goal; None where too little tells.
    places
        Of the settings, ``(setting, feature)``, a step along each counting by what it matters.
    """

    ignorance: tuple[Ignorance | None, ...]
    places: Floats

    def deviation(self) -> Floats:
        """Standard deviation of the error, ``(setting, goal)``; 0 where nothing tells."""
        found = np.zeros((len(self.places), len(self.ignorance)))
        for goal, missing in enumerate(self.ignorance):
            for first in range(0, len(self.places) if missing else 0, AT_ONCE):
                here = slice(first, first + AT_ONCE)
                assert missing is not None
                found[here, goal] = missing.deviation(self.places[here])
        return found

    def draws(self, rows: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Floats:
        """Draw errors at some settings together, ``(draw, row, goal)``."""
        places = self.places[rows]
        found = np.zeros((count, len(places), len(self.ignorance)))
        for goal, missing in enumerate(self.ignorance):
            if missing is not None:
                found[:, :, goal] = _paths(missing, places, count, rng)
        return found


def shared_errors(model: Model, objective: Objective, design: Design) -> Shared | None:
    """Learn from the trials that a model file keeps; None where it keeps none, or too few.

    Raises
    ------
    ModelFileError
        They do not fit the rest of the file.
    """
    record = make_record(model, objective) if objective.goals else None
    if record is None:
        return None
    ignorance = tuple(record.ignorance())
    if not any(ignorance):
        return None
    places = model.conditions(design.settings).astype(np.float64) * model.domain.weights
    return Shared(ignorance, places)


def margin_errors(model: Model, objective: Objective, design: Design) -> Floats:
    """What all members may miss of the margins by which requirements are met.

    Returns
    -------
    deviation
        Shape ``(setting, requirement)``; 0 where nothing tells, or there is no more or less.

    Raises
    ------
    ModelFileError
        See `shared_errors`.
    """
    found = np.zeros((design.size, len(objective.require)))
    shared = shared_errors(model, objective.margins, design)
    if shared is not None:
        found[:, [item.margin is not None for item in objective.require]] = shared.deviation()
    return found


def _paths(missing: Ignorance, places: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Draw whole functions, ``(draw, row)``, given what was measured.

    Waves whose frequencies have the spectrum of a Matern 5/2 (a Student's t with 5 degrees of
    freedom; Rahimi & Recht 2007) make functions before anything was measured; Matheron's rule
    conditions them (Wilson et al. 2020). The cost is linear in the settings.
    """
    from scipy.linalg import cho_factor, cho_solve

    size = places.shape[1]
    slower = np.sqrt(rng.chisquare(5, WAVES) / 5)
    frequency = rng.standard_normal((size, WAVES)) / slower / missing.length
    phase, height = rng.uniform(0, 2 * np.pi, WAVES), rng.standard_normal((WAVES, count))

    def prior(at: Floats) -> Floats:
        made: Floats = np.sqrt(2 / WAVES) * np.cos(at @ frequency + phase) @ height
        return made

    known = missing.places
    noise = np.sqrt(missing.noise)[:, None] * rng.standard_normal((len(known), count))
    own = missing.correlation(known, known) + np.diag(missing.noise)
    pulled = cho_solve(cho_factor(own, lower=True), prior(known) + noise)
    path = prior(places) - missing.correlation(places, known) @ pulled
    return np.asarray(np.sqrt(missing.variance) * path.T)
