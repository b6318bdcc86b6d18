"""How many trials per arm tell two settings apart, by playing the study through.

A member of the ensemble is taken for the truth: both arms of a study are drawn from its virtual
trials, tested by permutation, and counted. That is done for each member, since they do not agree
on how large the difference is: the power that is expected is their mean, and how far they differ
is told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.design import Design, make_design
from virtlab.errors import ConfigError
from virtlab.progress import Progress, Report
from virtlab.screening.objective import Objective, cell, names_of, read_objective, told
from virtlab.screening.outcomes import MOST_BYTES, Outcomes, draw_outcomes, join_outcomes
from virtlab.screening.permutation import STATISTICS, Statistic, p_values
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
PESSIMIST = 0.1
"""Share of the members whose power may be lower than a careful plan's."""


@dataclass(frozen=True)
class Point:
    """The power that a number of trials has.

    Parameters
    ----------
    trials
        Per arm.
    power
        Share of the studies that find the difference, with the right sign.
    low, high
        Interval of that share: the studies are a sample.
    by_member
        The same where each member is right, ``(member,)``.
    """

    trials: int
    power: float
    low: float
    high: float
    by_member: Floats

    @property
    def careful(self) -> float:
        """Power that all but a tenth of the members promise."""
        return float(np.quantile(self.by_member, PESSIMIST))


@dataclass(frozen=True)
class Power:
    """A plan.

    Parameters
    ----------
    what
        The statistic and what it is of, in words.
    settings
        The two arms, in words, each with where it lies to the data.
    effect
        Difference of the statistic, second less first, by member, ``(member,)``.
    values
        The statistic in each arm, by member, ``(arm, member)``.
    alpha, wanted
        Share of false alarms, and the power that is wanted.
    curve
        Power by trials per arm.
    trials
        The least that have the power wanted; None: more than were tried.
    careful
        The least that have it whichever member is right, but for a tenth of them.
    """

    what: str
    settings: tuple[str, str]
    effect: Floats
    values: Floats
    alpha: float
    wanted: float
    curve: tuple[Point, ...]
    trials: int | None
    careful: int | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "statistic": self.what,
            "settings": list(self.settings),
            "effect": {"mean": float(self.effect.mean()), "by_member": self.effect.tolist()},
            "values": self.values.mean(axis=1).tolist(),
            "alpha": self.alpha,
            "power": self.wanted,
            "trials_per_arm": self.trials,
            "trials_per_arm_careful": self.careful,
            "curve": [
                {
                    "trials": point.trials,
                    "power": point.power,
                    "interval": [point.low, point.high],
                    "by_member": point.by_member.tolist(),
                }
                for point in self.curve
            ],
        }

    def lines(self) -> list[str]:
        """For the terminal."""
        low, high = np.quantile(self.effect, [PESSIMIST, 1 - PESSIMIST])
        first, second = self.values.mean(axis=1)
        lines = [
            f"{self.what}: {cell(first)} at {self.settings[0]}",
            f"{' ' * len(self.what)}  {cell(second)} at {self.settings[1]}",
            f"difference: {self.effect.mean():.4g}; members say {low:.4g} to {high:.4g} "
            "(all but a tenth at each end)",
            f"power of a permutation test, {self.alpha:g} false alarms, by trials per arm:",
            "trials  power  90 % interval  by member, lowest to highest",
        ]
        lines += [
            f"{point.trials:6d}  {point.power:5.2f}  {point.low:4.2f} to {point.high:4.2f}   "
            f"{point.by_member.min():.2f} to {point.by_member.max():.2f}"
            for point in self.curve
        ]
        most = self.curve[-1].trials
        enough = f"more than {most:,}" if self.trials is None else f"{self.trials:,}"
        sure = f"more than {most:,}" if self.careful is None else f"{self.careful:,}"
        lines += [
            f"trials per arm for a power of {self.wanted:.0%}: {enough}",
            f"the same, were the truth what any but the least sure tenth of members says: {sure}",
        ]
        if low < 0 < high:
            lines.append(
                "the members do not agree which setting has more: whether there is a difference is "
                "unknown, and no number of trials is safe"
            )
        return lines


def plan_power(
    params: Params,
    *,
    statistic: str = "mean",
    alpha: float = 0.05,
    power: float | None = None,
    most: int = 200,
    seed: int | None = None,
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
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        The model, the settings or the objective cannot be used.
    """
    tell = report or (lambda _progress: None)
    params = params.model_copy(update={} if seed is None else {"seed": seed})
    model = load(params.path.parent / params.model)
    objective = read_objective(params, names_of(model))
    design = make_design(params, model.parameters)
    _check(objective, design, params, statistic)
    arms, outcomes = _arms(model, objective, design, params)
    of = STATISTICS[statistic]
    wanted = objective.power if power is None else power
    rng = np.random.default_rng(params.seed)

    def at(trials: int) -> Point:
        return _point(arms, trials, of, alpha, rng)

    curve = _curve(at, wanted, most, tell)
    values = of(arms)
    return Power(
        what=_what(objective, statistic),
        settings=(_place(design, outcomes, 0), _place(design, outcomes, 1)),
        effect=values[1] - values[0],
        values=values,
        alpha=alpha,
        wanted=wanted,
        curve=tuple(curve),
        trials=next((point.trials for point in curve if point.power >= wanted), None),
        careful=next((point.trials for point in curve if point.careful >= wanted), None),
    )


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


def _arms(
    model: Model, objective: Objective, design: Design, params: Params
) -> tuple[Floats, Outcomes]:
    """What is compared in each virtual trial, ``(arm, member, trial)``, and all outcomes."""
    members = model.runtime.members
    size = sum(measurement.size for measurement in model.measurements) * 8
    each = max(2, min(EACH, MOST_BYTES // (size * members)))
    params = params.model_copy(update={"trials": each * members})
    outcomes = join_outcomes(list(draw_outcomes(model, design, objective, params)))
    values = outcomes.values[0] if objective.goals else outcomes.met.astype(np.float64)
    order = np.argsort(outcomes.member, axis=1, kind="stable")
    sorted_ = np.take_along_axis(values, order, axis=1)
    return sorted_.reshape(2, members, each), outcomes


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
