"""Which parameter drives which measurement: Sobol indices on the generator (SALib).

A measurement's distribution at a setting is summed up by its mean and its spread (standard
deviation between trials), and each is taken apart over the range of the training data, as Marrel
et al. (2012) do for stochastic simulators: which share of its variance a parameter explains alone
(first order), and with all that it does together with others (total; Saltelli et al. 2010). Values
of a signal or an image are put together by their variance (Lamboni et al. 2011; Gamboa et al.
2014). The draws at all settings share their noise, so that differences are the settings'.

Intervals hold two doubts: the sample of settings (bootstrap), and what the members of the ensemble,
each trained on other trials, make of the same settings.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.domain import verdicts
from virtlab.errors import VirtlabError
from virtlab.evaluation.curves import Curve, draw_curves
from virtlab.evaluation.estimates import Estimate
from virtlab.evaluation.matching import Array
from virtlab.evaluation.ranges import Range, draw_alike, ranges_of, settings_at
from virtlab.trials import Measurement

if TYPE_CHECKING:
    from virtlab.simulation import Model

SEED = 20_263
POINTS = (64, 512)  # base points of the Sobol sample, powers of 2: at least and at most
DRAWS = 50  # per setting, at least; more where the members do not divide it
MOST_VALUES = 1.5e7  # simulated: what the points are chosen by
COMPONENTS = 8  # principal ones, of a signal's values over the settings
KEPT = 0.995  # of their variance
FAINT = 0.01  # of the spread between trials: a mean that moves less is not taken apart
STEADY = 0.1  # relative: nor is a spread that changes less
OFTEN = 0.05  # share of settings outside the data that is worth a word
CONFIDENCE = 0.9
DEVIATIONS = 1.645  # half of an interval that holds 90 % of a normal distribution


@dataclass(frozen=True)
class Index:
    """What one parameter does: shares of variance, with 90 % intervals."""

    parameter: str
    first: Estimate
    total: Estimate


@dataclass(frozen=True)
class Effect:
    """What drives one measurement.

    Parameters
    ----------
    measurement
        Which one.
    settled
        Share of its variance, over settings and trials, that the settings decide; the rest is
        between trials at a setting.
    widens
        How much its spread changes with the settings, relative to its root mean square.
    mean, spread
        Parameters by their total effect, largest first; empty where there is next to none.
    """

    measurement: str
    settled: float
    widens: float
    mean: tuple[Index, ...]
    spread: tuple[Index, ...]


@dataclass(frozen=True)
class Sensitivity:
    """Which parameter drives which measurement.

    Parameters
    ----------
    effects
        One per measurement; none where it cannot be told.
    settings, draws
        How many were simulated, and trials at each.
    notes
        What the numbers mean here, and what they do not, a sentence each.
    curves
        How each measurement responds to each parameter.
    """

    effects: tuple[Effect, ...]
    settings: int
    draws: int
    notes: tuple[str, ...]
    curves: tuple[Curve, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For the terminal."""
        lines = []
        for effect in self.effects:
            line = f"{effect.measurement}: settings decide {effect.settled:.0%} of its variance"
            line += f"; its mean follows {_shares(effect.mean) or 'no parameter'}"
            if effect.spread:
                line += f"; its spread, by ±{effect.widens:.0%}, {_shares(effect.spread)}"
            lines.append(line)
        return lines + [f"note: {said}" for said in self.notes]


def _shares(found: Sequence[Index]) -> str:
    """The parameters that matter, with their total effect."""
    told = [f"{i.parameter} {i.total.value:.0%}" for i in found if i.total.value >= OFTEN]
    return ", ".join(told)


def sense(model: Model) -> Sensitivity:
    """Compute which parameter drives which measurement.

    Parameters come from the range of the training data independently of each other, evenly on
    their scale; categories are equally frequent.
    """
    if importlib.util.find_spec("SALib") is None:
        return _untold("sensitivities need SALib: pip install 'virtlab[report]'")
    ranges = ranges_of(model)
    varying = [found for found in ranges if found.varies]
    draws = model.runtime.members * -(-DRAWS // model.runtime.members)
    points = _points(model, len(varying), draws)
    settings = settings_at(ranges, sample_unit(len(varying), points))
    try:
        found = _moments(model, settings, draws)
        far = model.domain.distance(model.conditions(settings))
    except VirtlabError as error:  # a conditioner may refuse combinations within the ranges
        return _untold(f"sensitivities cannot be told: {str(error).splitlines()[0]}")
    names = [found.parameter.name for found in varying]
    effects = tuple(_effect(m, found[m.name], names) for m in model.measurements)
    outside = float((verdicts(far) == "outside").mean())
    return Sensitivity(
        effects, len(far), draws, _notes(varying, outside), draw_curves(model, ranges, draws)
    )


def _untold(why: str) -> Sensitivity:
    return Sensitivity((), 0, 0, (why,))


def _points(model: Model, parameters: int, draws: int) -> int:
    """Base points that time allows, a power of 2."""
    size = sum(measurement.size for measurement in model.measurements)
    most = MOST_VALUES / ((parameters + 2) * draws * size)
    return int(2 ** np.floor(np.log2(np.clip(most, *POINTS))))


@dataclass(frozen=True)
class _Moments:
    """Mean and spread at each setting: of all members ``(setting, value)``, and of each one."""

    mean: Array
    spread: Array
    means: Array
    spreads: Array


def _moments(model: Model, settings: dict[str, Any], draws: int) -> dict[str, _Moments]:
    """Mean and spread at each setting, by measurement."""
    parts: dict[str, list[tuple[Array, ...]]] = {m.name: [] for m in model.measurements}
    for _, drawn in draw_alike(model, settings, draws):
        for name, values in drawn.items():
            # Members draw in turn, the same one first at every setting.
            own = values.reshape(len(values), -1, model.runtime.members, values.shape[-1])
            of_all = values.mean(axis=1), values.std(axis=1, ddof=1)
            of_each = own.mean(axis=1), own.std(axis=1, ddof=1)
            parts[name].append((*of_all, *(each.swapaxes(0, 1) for each in of_each)))
    return {
        name: _Moments(*(np.concatenate(piece, axis=-2) for piece in zip(*found, strict=True)))
        for name, found in parts.items()
    }


def _effect(measurement: Measurement, at: _Moments, names: list[str]) -> Effect:
    """Take one measurement's mean and spread apart."""
    between, within = float(at.mean.var(axis=0).sum()), float(np.square(at.spread).mean(0).sum())
    total = between + within
    if total == 0:
        return Effect(measurement.name, 0.0, 0.0, (), ())
    widens = float(np.sqrt(at.spread.var(axis=0).sum() / within)) if within > 0 else 0.0
    # The spread of a category follows from its share.
    apart = measurement.kind != "categorical" and widens > STEADY
    return Effect(
        measurement.name,
        between / total,
        widens,
        find_indices(at.mean, names, at.means) if between > FAINT**2 * total else (),
        find_indices(at.spread, names, at.spreads) if apart else (),
    )


def sample_unit(parameters: int, points: int) -> Array:
    """Points of the unit cube to evaluate, ``(points x (parameters + 2), parameters)``."""
    from SALib.sample import sobol

    found: Array = sobol.sample(
        _problem([str(i) for i in range(parameters)]), points, calc_second_order=False, seed=SEED
    )
    return found


def find_indices(
    values: Array, names: Sequence[str], members: Array | None = None
) -> tuple[Index, ...]:
    """Sobol indices of all values together, each counting by its variance; largest total first.

    Parameters
    ----------
    values
        At the points of `sample_unit`, ``(point, value)``.
    names
        Of the parameters.
    members
        The same of each member, ``(member, point, value)``: where their indices differ, the
        intervals are as much wider.
    """
    from SALib.analyze import sobol

    parts = _components(values)
    share = parts.var(axis=0) / parts.var(axis=0).sum()
    found: dict[str, Array] = {key: np.zeros(len(names)) for key in _KEYS}
    for part, weight in zip(parts.T, share, strict=True):
        analysed = sobol.analyze(
            _problem(names), part, calc_second_order=False, conf_level=CONFIDENCE, seed=SEED
        )
        # Errors of components are added as if they went together: at most they do.
        for key in _KEYS:
            found[key] += weight * analysed[key]
    if members is not None and len(members) > 1:
        apart = DEVIATIONS * np.std([_shares_of(own, len(names)) for own in members], 0, ddof=1)
        for key, error in zip(("S1_conf", "ST_conf"), apart, strict=True):
            found[key] = np.hypot(found[key], error)
    indices = [
        Index(name, _estimate(*first), _estimate(*total))
        for name, *both in zip(names, *found.values(), strict=True)
        for first, total in [(both[:2], both[2:])]
    ]
    return tuple(sorted(indices, key=lambda index: -index.total.value))


def _shares_of(values: Array, parameters: int) -> Array:
    """First-order and total indices, ``(2, parameter)``: Saltelli et al. (2010), Jansen (1999).

    As SALib computes them, for all values together and without its bootstrap.
    """
    table = values.reshape(-1, parameters + 2, values.shape[-1])
    first, mixed, second = table[:, :1], table[:, 1:-1], table[:, -1:]
    spread = np.concatenate([first, second]).var(axis=0).sum()
    if not spread > 0:
        return np.zeros((2, parameters))
    alone = (second * (mixed - first)).mean(axis=0).sum(axis=-1)
    together = 0.5 * np.square(first - mixed).mean(axis=0).sum(axis=-1)
    found: Array = np.stack([alone, together]) / spread
    return found


_KEYS = ("S1", "S1_conf", "ST", "ST_conf")


def _problem(names: Sequence[str]) -> dict[str, Any]:
    """As SALib wants it."""
    return {"num_vars": len(names), "names": list(names), "bounds": [[0, 1]] * len(names)}


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(float(value), float(value - error), float(value + error))


def _components(values: Array) -> Array:
    """Leading principal components: their indices, put together, are those of the values."""
    if values.shape[1] == 1:
        return values
    left, singular, _ = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    kept = np.cumsum(singular**2) / np.sum(singular**2)
    count = min(int(np.searchsorted(kept, KEPT)) + 1, COMPONENTS)
    parts: Array = left[:, :count] * singular[:count]
    return parts


def _notes(varying: Sequence[Range], outside: float) -> tuple[str, ...]:
    """What the numbers mean for these parameters."""
    notes = [
        "total effects: shares of the variance over the range of the training data, of the model, "
        "not of the lab; they add up to more than 100 % where parameters work together"
    ]
    if any(found.parameter.kind == "categorical" for found in varying):
        notes.append("categories are taken as equally frequent, whatever the lab ran")
    if outside > OFTEN:
        notes.append(
            f"parameters are taken as independent, but {outside:.0%} of their combinations lie "
            "outside the data (they moved together, or have gaps): effects rest on guesses there"
        )
    return tuple(notes)
