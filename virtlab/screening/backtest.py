"""Would this screen have found the winner sooner? Played on a lab's own trials.

Most settings are hidden. From the same random start each policy chooses batches among the hidden
settings, and sees what the lab measured there before it chooses again. virtlab is trained anew on
what is known, each time: scaling, domain, calibration and all; of the rest it is told which
settings there are, as a lab knows what it could run, and nothing of what they yielded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from virtlab.config import Experiment, Params
from virtlab.errors import ConfigError
from virtlab.modelfile import replace_whole
from virtlab.progress import Progress, Report
from virtlab.screening.baselines import choose_at_random, choose_by_process
from virtlab.screening.course import Course, Step, check_course, csv_text, read_steps
from virtlab.screening.findings import find, join
from virtlab.screening.knowledge import gather
from virtlab.screening.objective import names_of, read_objective
from virtlab.screening.outcomes import draw_outcomes
from virtlab.screening.pool import Places, Pool, make_pool
from virtlab.screening.suggestion import Asked, suggest

VIRTLAB, PROCESS, RANDOM = "virtlab", "GP-EI", "random"

Choose = Callable[[Pool, Places, Places, int, np.random.Generator], Places]


@dataclass(frozen=True)
class Game:
    """How it is played.

    Parameters
    ----------
    start
        Settings that are known at the beginning, drawn at random.
    batch, rounds
        How many are chosen at a time, and how often.
    seeds
        Each is another start.
    """

    start: int = 20
    batch: int = 10
    rounds: int = 5
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.start:,} settings at random, then batches of {self.batch:,}"


def backtest(
    experiment: Experiment,
    params: Params,
    game: Game,
    *,
    output: Path | None = None,
    resume: bool = False,
    force: bool = False,
    report: Report | None = None,
) -> Course:
    """Play virtlab against baselines on a lab's own trials.

    Parameters
    ----------
    experiment
        The lab's trials, and how to learn from them.
    params
        With its [objective] of one goal, and trials per setting; model and design are unused.
    game
        How it is played.
    output
        CSV that has every step as soon as it was played; None: nowhere.
    resume
        Go on with such a file.
    force
        Replace one.
    report
        Called with `Progress`.

    Raises
    ------
    VirtlabError
        A file cannot be used, or the lab has too few settings.
    """
    from virtlab.storage import data_digest, open_trials

    tell = report or (lambda _progress: None)
    if output is not None:
        check_course(output, force=force or resume)
    trials = open_trials(experiment)
    pool = make_pool(experiment, trials, params)
    _check_size(pool, game, experiment)
    winner = pool.best(np.arange(pool.size))
    course = Course((), pool.objective.text, winner, pool.size, game.text, data_digest(trials))
    if output is not None and resume and output.exists():
        course = replace(course, steps=read_steps(output, course))
    left = _Left(course, game)
    with tempfile.TemporaryDirectory(prefix="virtlab-backtest-") as folder:
        screen = partial(_choose_by_screen, experiment, params, Path(folder) / "round.virtlab")
        policies: dict[str, Choose] = {
            VIRTLAB: screen,
            PROCESS: choose_by_process,
            RANDOM: choose_at_random,
        }
        for seed in game.seeds:
            for policy, choose in policies.items():
                tell(left.progress(f"seed {seed}, {policy}"))
                for step in _play(pool, game, policy, choose, seed, course.steps):
                    course = replace(course, steps=(*course.steps, step))
                    if output is not None:
                        replace_whole(output, csv_text(course).encode())
                    left.played(step)
                    tell(left.progress(f"seed {seed}, {policy}, {step.settings:,} settings known"))
    return course


class _Left:
    """How much is left to play: what takes time is virtlab's training."""

    def __init__(self, course: Course, game: Game) -> None:
        done = {(s.seed, s.round) for s in course.steps if s.policy == VIRTLAB and s.round}
        asked = {(seed, each + 1) for seed in game.seeds for each in range(game.rounds)}
        self._total, self._done, self._begun = len(asked - done), 0, time.monotonic()

    def played(self, step: Step) -> None:
        """Count a step."""
        self._done += step.policy == VIRTLAB and step.round > 0

    def progress(self, message: str) -> Progress:
        """Where it stands."""
        each = (time.monotonic() - self._begun) / self._done if self._done else None
        seconds = None if each is None else each * (self._total - self._done)
        fraction = self._done / self._total if self._total else 1.0
        return Progress("playing", fraction, seconds_left=seconds, message=message)


def _play(
    pool: Pool, game: Game, policy: str, choose: Choose, seed: int, before: tuple[Step, ...]
) -> Iterator[Step]:
    """Steps of one policy from one start, but for those that were played before."""
    played = {s.round: s for s in before if (s.seed, s.policy) == (seed, policy)}
    known = np.empty(0, np.intp)
    for number in range(game.rounds + 1):
        if number in played:
            known = np.append(known, np.array(played[number].chosen, np.intp))
            continue
        rng = np.random.default_rng([seed, number])
        hidden = np.setdiff1d(np.arange(pool.size), known)
        if number == 0:
            chosen = rng.permutation(hidden)[: game.start]
        else:
            chosen = choose(pool, known, hidden, game.batch, rng)
        known = np.append(known, chosen)
        best = pool.best(known)
        yield Step(
            seed=seed,
            policy=policy,
            round=number,
            settings=len(known),
            trials=len(pool.rows(known)),
            best=best,
            regret=abs(pool.best(np.arange(pool.size)) - best),
            chosen=tuple(chosen.tolist()),
        )


def _choose_by_screen(
    experiment: Experiment,
    params: Params,
    path: Path,
    pool: Pool,
    known: Places,
    hidden: Places,
    count: int,
    rng: np.random.Generator,
) -> Places:
    """Train on what is known, screen what is hidden, and take what is suggested.

    Settings outside the data may be suggested: after a small random start most of a lab's are.
    """
    from virtlab.training.train import train

    seed = int(rng.integers(2**31))
    model = train(experiment, output=path, seed=seed, force=True, only=pool.rows(known))
    # What params.toml says of the best so far may come from trials that are hidden here.
    objective = replace(read_objective(params, names_of(model)), best=None)
    design, asked = pool.design(hidden), Asked(count, outside=True)
    members, trials = model.runtime.members, params.trials
    portions = draw_outcomes(model, design, objective, params)
    findings = join([find(objective, portion, members=members) for portion in portions])
    knowledge = gather(model, objective)
    found = suggest(knowledge, design, findings, asked, trials=trials, seed=params.seed)
    return hidden[found.places]


def _check_size(pool: Pool, game: Game, experiment: Experiment) -> None:
    needed = game.start + game.batch * game.rounds
    if needed > pool.size:
        raise ConfigError(
            f"{experiment.path.name}: has {pool.size:,} settings; {game.start:,} to start with and "
            f"{game.rounds:,} rounds of {game.batch:,} need {needed:,}: ask for less"
        )
