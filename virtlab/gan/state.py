"""All that changes while training, as named arrays: what a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from virtlab.gan.adam import slots, trained_by
from virtlab.gan.blocks import Floats

LEAST_GAIN = 2e-4  # of the score: many small gains count once they add up to it


@dataclass
class State:
    """Networks, their averages and best versions, optimiser moments, and where training stands.

    Parameters
    ----------
    weights, ema, best
        The generator as trained, its moving average, and the average at the best held-out
        score of each member.
    previous
        `best` as the stage before left it: what the present stage must beat.
    critic
        The critic's weights.
    moments, critic_moments
        Adam's moments.
    pace
        Factor on each member's learning rate.
    fall
        First and last step of the fall of the learning rate in the present stage, ``(2,)``.
    best_score
        Held-out energy score of `best`, per member.
    stage, step, since
        Which stage runs, its next step, and looks since the members' mean score last fell.
    lowest
        To where it fell, in the present stage.
    watch
        What the monitor remembers of the present stage, each ``(member,)``.
    events
        What the monitor did.
    history
        One row per held-out score; no seconds, so that equal training gives equal bytes.
    """

    weights: dict[str, tf.Variable]
    ema: dict[str, tf.Variable]
    best: dict[str, tf.Variable]
    previous: dict[str, tf.Variable]
    critic: dict[str, tf.Variable]
    moments: dict[str, tf.Variable]
    critic_moments: dict[str, tf.Variable]
    pace: tf.Variable
    fall: tf.Variable
    best_score: NDArray[np.float64]
    stage: int = 0
    step: int = 0
    since: int = 0
    lowest: float = np.inf
    watch: dict[str, NDArray[Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, generator: dict[str, Floats], critic: dict[str, Floats]) -> State:
        """State before the first step."""
        members = len(next(iter(generator.values())))
        weights = _variables(generator)
        judge = _variables(critic)
        return cls(
            weights=weights,
            ema=_variables(generator),
            best=_variables(generator),
            previous=_variables(generator),
            critic=judge,
            moments=slots(trained_by(weights)),
            critic_moments=slots(judge),
            pace=tf.Variable(tf.ones(members), name="pace"),
            fall=tf.Variable([0, 1], name="fall"),
            best_score=np.full(members, np.inf),
        )

    @property
    def groups(self) -> dict[str, dict[str, tf.Variable]]:
        """All variables, by group."""
        names = ("weights", "ema", "best", "previous", "critic", "moments", "critic_moments")
        return {name: getattr(self, name) for name in names}

    def keep_better(self, score: NDArray[np.float64]) -> None:
        """Copy the average to `best` where a member's score fell."""
        better = score < self.best_score
        for name, kept in self.best.items():
            kept.assign(_where(better, self.ema[name], kept))
        self.best_score = np.where(better, score, self.best_score)

    def note(self, mean: float) -> None:
        """Count the looks since the members' mean score last fell by what is worth the time.

        Of the scores of many members at few trials one improves nearly each time, by luck; their
        mean does as long as they learn.
        """
        if mean < (1 - LEAST_GAIN) * self.lowest:
            self.lowest, self.since = mean, 0
        else:
            self.since += 1

    def settle(self, steps: int) -> None:
        """Go on from the best of each member, with a rate that falls over so many steps."""
        critics = next(iter(self.critic.values())).shape[0]
        self.restart(np.ones(len(self.best_score), bool), np.zeros(critics, bool), {})
        self.fall.assign([self.step, self.step + steps])
        self.since = 0

    def next_stage(self) -> None:
        """Go on from the best state of the stage that ended."""
        for name, kept in self.best.items():
            self.weights[name].assign(kept)
            self.ema[name].assign(kept)
            self.previous[name].assign(kept)
        for moment in self.moments.values():
            moment.assign(tf.zeros_like(moment))
        self.stage, self.step, self.since, self.lowest = self.stage + 1, 0, 0, np.inf
        self.pace.assign(tf.ones_like(self.pace))
        self.watch = {"alike before": self.watch["alike"]} if "alike" in self.watch else {}

    def restart(
        self,
        members: NDArray[np.bool_],
        critics: NDArray[np.bool_],
        critic_start: dict[str, Floats],
    ) -> None:
        """Set some members back to their best, and some critics to where they started.

        The optimiser forgets its direction. It keeps the size of its steps, where that is a
        number: without it the first ones would be the largest of all.
        """
        for name, kept in self.best.items():
            for group in (self.weights, self.ema):
                group[name].assign(_where(members, kept, group[name]))
        for name, start in critic_start.items():
            self.critic[name].assign(_where(critics, start, self.critic[name]))
        for moments, gate in ((self.moments, members), (self.critic_moments, critics)):
            for name, moment in moments.items():
                kept = tf.zeros_like(moment)
                if name == "adam2":
                    kept = tf.where(tf.math.is_finite(moment), moment, 0.0)
                moment.assign(_where(gate, kept, moment))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays, ``group/name`` to array; `position` has the rest."""
        found: dict[str, NDArray[Any]] = {
            f"{group}/{name}": variable.numpy()
            for group, variables in self.groups.items()
            for name, variable in variables.items()
        }
        found["best_score"], found["pace"] = self.best_score, self.pace.numpy()
        found["fall"] = self.fall.numpy()
        return found | {f"watch/{name}": array for name, array in self.watch.items()}

    def position(self) -> dict[str, Any]:
        """Where training stands, for JSON."""
        return {
            "stage": self.stage,
            "step": self.step,
            "since": self.since,
            "lowest": self.lowest,
            "events": list(self.events),
            "history": list(self.history),
        }

    def restore(self, arrays: dict[str, NDArray[Any]], position: dict[str, Any]) -> None:
        """Take up a checkpoint made by the same code from the same data and options."""
        for group, variables in self.groups.items():
            for name, variable in variables.items():
                variable.assign(arrays[f"{group}/{name}"])
        self.best_score = arrays["best_score"].astype(np.float64)
        self.pace.assign(arrays["pace"])
        self.fall.assign(arrays["fall"])
        self.watch = {
            name.removeprefix("watch/"): array
            for name, array in arrays.items()
            if name.startswith("watch/")
        }
        self.events = list(position["events"])
        self.stage, self.step = int(position["stage"]), int(position["step"])
        self.since, self.lowest = int(position["since"]), float(position["lowest"])
        self.history = list(position["history"])


def _variables(arrays: dict[str, Floats]) -> dict[str, tf.Variable]:
    return {name: tf.Variable(array, name=name) for name, array in arrays.items()}


def _where(gate: NDArray[np.bool_], there: tf.Tensor, elsewhere: tf.Tensor) -> tf.Tensor:
    """Choose by member: the leading axis."""
    return tf.where(gate.reshape((-1,) + (1,) * (len(elsewhere.shape) - 1)), there, elsewhere)
