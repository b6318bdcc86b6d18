"""How many trials per arm tell two settings apart, by playing the study through.

A member of the ensemble is taken for the truth: both arms of a study are drawn from its virtual
trials, tested by permutation, and counted. That is done for each member, since they do not agree
on how large the difference is: the power that is expected is their mean, and how far they differ
is told apart. What all members may miss together is drawn for each and moves its arms; see
`virtlab.screening.shared`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.errors import ConfigError
from virtlab.progress import Progress, Report
from virtlab.screening.objective import Objective, names_of, read_objective, told
from virtlab.screening.outcomes import MOST_BYTES, Outcomes, draw_outcomes, join_outcomes
from virtlab.screening.permutation import STATISTICS, Statistic, p_values
from virtlab.screening.plan import Point, Power, check_plan, write_plan
from virtlab.screening.shared import shared_errors
from virtlab.simulation import load

if TYPE_CHECKING:
    from virtlab.simulation import Model

Floats = NDArray[np.float64]

PLAYED = 1000
"""Studies for each number of trials, shared among the members."""
EACH = 500
"""Virtual trials of each member at each setting, that studies are drawn from."""
FEWEST = 3
STEP = 1.25
"""From one number of trials to the next."""
LEVEL = 0.90
"""Of the interval of the power."""


def plan_power(
    params: Params,
    *,
    statistic: str = "mean",
    alpha: float = 0.05,
    power: float | None = None,
    most: int = 200,
    seed: int | None = None,
    output: Path | None = None,
    force: bool = False,
    report: Report | None = None,
) -> Power:
    """Find how many trials tell the two settings of params.toml apart.

    Parameters
    ----------
    params
        A design of two settings, and an [objective]: its goal is compared; without one, the
        share of trials that meet the requirements.
    statistic
        What is compared of the goal over trials, one of `STATISTICS`.
    alpha
        How often a difference may be claimed where there is none.
    power
        How often one that is there should be found; None: the objective's.
    most
        Trials per arm that are tried.
    seed
        Wins over params.toml.
    output
        Where to write the plan, ``.csv``, ``.json``, ``.nc`` or ``.zarr``; None: nowhere.
    force
        Replace one that is there.
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, the settings or the objective cannot be used.
    """
    from virtlab.simulation.labels import provenance

    tell = report or (lambda _progress: None)
    if output is not None:
        check_plan(output, force=force)
    params = params.model_copy(update={} if seed is None else {"seed": seed})
    model = load(params.path.parent / params.model)
    objective = read_objective(params, names_of(model))
    design = make_design(params, model.parameters)
    _check(objective, design, params, statistic)
    rng = np.random.default_rng(params.seed)
    outcomes = _drawn(model, objective, design, params)
    of = STATISTICS[statistic]
    arms, shared = _arms(model, objective, design, outcomes, of, rng)
    wanted = objective.power if power is None else power

    def at(trials: int) -> Point:
        return _point(arms, trials, of, alpha, rng)

    curve = _curve(at, wanted, most, tell)
    values = of(arms)
    found = Power(
        what=_what(objective, statistic),
        settings=(_place(design, outcomes, 0), _place(design, outcomes, 1)),
        effect=values[1] - values[0],
        values=values,
        shared=shared,
        alpha=alpha,
        wanted=wanted,
        curve=tuple(curve),
        trials=next((point.trials for point in curve if point.power >= wanted), None),
        careful=next((point.trials for point in curve if point.careful >= wanted), None),
        attrs=provenance(model, params.seed, params.text),
    )
    if output is not None:
        write_plan(found, output, force=force)
    return found


def _check(objective: Objective, design: Design, params: Params, statistic: str) -> None:
    file = params.path.name
    if design.size != 2:
        raise ConfigError(
            f"{file}: expected two settings to tell apart, found {design.size:,}; give one "
            'parameter two values and the others one, or use design = "zip"'
        )
    if len(objective.goals) > 1:
        raise ConfigError(f"{file}: expected one goal to compare, found {len(objective.goals)}")
    if not objective.goals and statistic != "mean":
        raise ConfigError(
            f"{file}: without a goal the share of trials that meet the requirements is compared, "
            f"which has no {statistic}; leave the statistic out, or give a goal"
        )


def _drawn(model: Model, objective: Objective, design: Design, params: Params) -> Outcomes:
    """Virtual trials of both settings, as many of each member."""
    members = model.runtime.members
    size = sum(measurement.size for measurement in model.measurements) * 8
    each = max(2, min(EACH, MOST_BYTES // (size * members)))
    params = params.model_copy(update={"trials": each * members})
    return join_outcomes(list(draw_outcomes(model, design, objective, params)))


def _arms(
    model: Model,
    objective: Objective,
    design: Design,
    outcomes: Outcomes,
    of: Statistic,
    rng: np.random.Generator,
) -> tuple[Floats, float]:
    """What is compared in each virtual trial, with what all members may miss.

    Returns
    -------
    arms
        Shape ``(arm, member, trial)``.
    shared
        Standard deviation of what was added to the difference.
    """
    members = model.runtime.members
    order = np.argsort(outcomes.member, axis=1, kind="stable")

    def by_member(values: Floats) -> Floats:
        return np.take_along_axis(values, order, axis=1).reshape(2, members, -1)

    if objective.goals:
        arms = by_member(outcomes.values[0])
        moved = arms + _missed(model, objective, design, arms, rng)[0][..., None]
    else:
        margins = np.stack([by_member(own) for own in outcomes.margins])
        graded = [item.margin is not None for item in objective.require]
        off = np.zeros(margins.shape[:3])
        off[graded] = _missed(model, objective.margins, design, margins[graded], rng)
        arms = np.all(margins > 0, axis=0).astype(np.float64)
        moved = np.all(margins + off[..., None] > 0, axis=0).astype(np.float64)
    before, after = of(arms), of(moved)
    return moved, float(((after - before)[1] - (after - before)[0]).std())


def _missed(
    model: Model, objective: Objective, design: Design, arms: Floats, rng: np.random.Generator
) -> Floats:
    """Draw what all members may miss at both settings, beyond their disagreement.

    Parameters
    ----------
    arms
        Virtual trials ``(arm, member, trial)``, of several goals with an axis before.

    Returns
    -------
    off
        One for each member, ``(goal, arm, member)``; 0 where nothing tells.
    """
    from scipy.special import ndtri

    members, shared = arms.shape[-2], shared_errors(model, objective, design)
    found = np.zeros((len(objective.goals), 2, members))
    if shared is None:
        return found
    scores = ndtri((np.arange(members) + 0.5) / members)  # evenly spread: there are few members
    scores /= scores.std()
    means = arms.mean(axis=-1).reshape(found.shape)
    for own, missing, off in zip(means, shared.ignorance, found, strict=True):
        if missing is not None:
            covariance = missing.covariance(shared.places)
            of_difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
            known = (own[1] - own[0]).var(ddof=1) * (1 + 1 / members)
            if of_difference > known:
                root = np.linalg.cholesky(covariance + 1e-9 * np.trace(covariance) * np.eye(2))
                drawn = np.stack([rng.permutation(scores), rng.permutation(scores)])
                off[:] = np.sqrt(1 - known / of_difference) * (root @ drawn)
    return found


def _curve(at: Callable[[int], Point], wanted: float, most: int, tell: Report) -> list[Point]:
    """Power from few trials on, until also a careful plan has enough; then the gaps are filled."""
    found: list[Point] = []
    trials = min(FEWEST, most)
    while True:
        found.append(at(trials))
        tell(Progress("playing", trials / most, message=f"{trials} trials per arm"))
        if found[-1].careful >= wanted or trials >= most:
            break
        trials = min(most, max(trials + 1, round(trials * STEP)))
    for enough in (lambda point: point.power >= wanted, lambda point: point.careful >= wanted):
        found = _bisect(found, at, enough)
    return found


def _bisect(
    curve: list[Point], at: Callable[[int], Point], enough: Callable[[Point], bool]
) -> list[Point]:
    """Add points until the least number of trials that is enough has its neighbour below."""
    place = next((i for i, point in enumerate(curve) if enough(point)), 0)
    if place == 0:
        return curve
    below, above = curve[place - 1].trials, curve[place].trials
    added = list(curve)
    while above - below > 1:
        middle = (above + below) // 2
        point = at(middle)
        added.append(point)
        below, above = (below, middle) if enough(point) else (middle, above)
    return sorted(added, key=lambda point: point.trials)


def _point(
    arms: Floats, trials: int, statistic: Statistic, alpha: float, rng: np.random.Generator
) -> Point:
    """Play studies with so many trials per arm, the same number where each member is right."""
    members = arms.shape[1]
    each = -(-PLAYED // members)
    drawn = rng.integers(arms.shape[2], size=(2, members, each, trials))
    first, second = np.take_along_axis(arms[:, :, None], drawn, axis=-1).reshape(2, -1, trials)
    found = p_values(first, second, statistic, rng) <= alpha + 1e-12
    # A difference of the wrong sign is none that was to be found.
    signs = np.sign(statistic(second) - statistic(first)).reshape(members, each)
    right = signs * np.sign(statistic(arms[1]) - statistic(arms[0]))[:, None] > 0
    hits = found.reshape(members, each) & right
    low, high = share_interval(int(hits.sum()), hits.size)
    return Point(trials, float(hits.mean()), low, high, hits.mean(axis=1))


def share_interval(hits: int, tries: int) -> tuple[float, float]:
    """Wilson's interval of a share (Wilson 1927)."""
    from scipy.special import ndtri

    z = float(ndtri((1 + LEVEL) / 2))
    share = hits / tries
    middle = (share + z**2 / (2 * tries)) / (1 + z**2 / tries)
    half = z * np.sqrt(share * (1 - share) / tries + z**2 / (4 * tries**2)) / (1 + z**2 / tries)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _what(objective: Objective, statistic: str) -> str:
    if not objective.goals:
        return f"share of trials with {' and '.join(item.text for item in objective.require)}"
    return f"{statistic} of {objective.goals[0].name}"


def _place(design: Design, outcomes: Outcomes, at: int) -> str:
    where = {"inside": "inside the data", "edge": "at the edge of the data"}
    said = where.get(outcomes.domain[at], "OUTSIDE the data, where the model guesses")
    return f"{told(design.settings, at)} ({said})"
