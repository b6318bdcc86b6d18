"""Watches training: members that go wrong are noticed, set back to their best, and told of.

At every held-out score each member is held against four signs of trouble. One that lasts sends
the member back to its best state with a fresh critic and half the learning rate; after
`MOST_RESTARTS` of them it stays at its best until the stage ends. All that is remembered stands
in the state, so that a resumed training decides as one that was never interrupted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.gan.blocks import Floats
from virtlab.gan.games import Table
from virtlab.gan.judge import Look
from virtlab.gan.state import State

HEALTHY = "healthy"
MOST_RESTARTS = 3

FAR_ABOVE = (3.0, 0.1)  # times the best score, plus this: diverged
ABSURD = 10.0  # times the marginal's score: diverged, and never a best
SAME_DRAWS = 0.2  # of the real spread: a setting whose draws scatter less has collapsed
COLLAPSED_SHARE = 0.5  # of the held-out rows
WON, SURE = 0.95, 0.99  # shares of pairs that the critic ranks rightly; fair play is near 0.5
VANISHED = 0.1  # of the largest gradient that the generator ever got

Signs = dict[str, NDArray[np.float64]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Trouble:
    """A way to go wrong.

    Parameters
    ----------
    lasting
        Scores in a row that show it before anything is done.
    told
        What the members did, as in "3 of 10 members …".
    advice
        What to try.
    """

    lasting: int
    told: str
    advice: str


TROUBLES = {
    "not finite": Trouble(
        2,
        "met numbers that are not finite",
        "look for absurd values among the measurements (virtlab inspect)",
    ),
    "diverged": Trouble(2, "diverged", 'try another seed, preset = "auto", or more trials'),
    "critic won": Trouble(
        4,
        "had a critic that told virtual from real trials and taught nothing more",
        'try preset = "auto" or "energy", or more trials',
    ),
    "gradient vanished": Trouble(
        2,
        "had a critic that left the generator no gradient",
        'try preset = "auto" or "wgan-gp"',
    ),
    "collapsed": Trouble(
        4,
        "drew nearly the same trial again and again",
        'try preset = "auto" or "energy", which reward scatter',
    ),
}


@dataclass(frozen=True)
class Monitor:
    """What the signs are held against.

    Parameters
    ----------
    table
        Which critics belong to which member.
    critic_start
        The critics' first weights, for a fresh start.
    real_spread
        Mean distance of replicates, ``(member, row)``; NaN where a row has none.
    share
        How much each held-out row counts, ``(member, row)``.
    """

    table: Table
    critic_start: dict[str, Floats]
    real_spread: NDArray[np.float64]
    share: NDArray[np.float64]

    def watch(self, stage: str, state: State, signs: Signs, look: Look) -> None:
        """Hold every member against every sign, and act on what lasts."""
        shown = self._shown(stage, state, signs, look)
        acting = np.zeros(len(look.scores), bool)
        for name, trouble in TROUBLES.items():
            count = np.where(shown[name], state.watch.get(name, 0) + 1, 0)
            lasts = (count >= trouble.lasting) & ~acting & (state.pace.numpy() > 0)
            state.watch[name] = count
            acting |= lasts
            state.events += self._act(stage, name, state, lasts)
        for name in TROUBLES:  # a restart wipes the slate
            state.watch[name] = np.where(acting, 0, state.watch[name])

    def _shown(self, stage: str, state: State, signs: Signs, look: Look) -> dict[str, Flags]:
        """Which members show which sign, now; `state` remembers what that needs."""
        score, best, none = look.scores, state.best_score, np.zeros(len(look.scores), bool)
        factor, more = FAR_ABOVE
        reference = np.where(np.isnan(self.real_spread), look.error, self.real_spread)
        same = (self.share * (look.spread < SAME_DRAWS * reference)).sum(axis=1)
        # Likelihood does not collapse: what looks alike there is what the trials are like, or,
        # of few trials, a member past its best, which is not kept.
        before = state.watch.setdefault("alike before", np.zeros(len(score)))
        state.watch["alike"] = same
        alike = (same > COLLAPSED_SHARE) & (same > before + COLLAPSED_SHARE / 2)
        shown = {
            "not finite": ~np.isfinite(score) | ~np.isfinite(signs["loss"]),
            "diverged": (score > factor * best + more) | (score > ABSURD),
            "critic won": none,
            "gradient vanished": none,
            "collapsed": alike & (stage != "likelihood"),
        }
        if "separation" in signs:
            separation, slope = signs["separation"], signs["slope"]
            peak = np.fmax(state.watch.get("peak", 0.0), slope)
            state.watch["peak"] = peak
            shown["critic won"] = (separation >= WON) & (score > best)
            shown["gradient vanished"] = (separation >= SURE) & (slope < VANISHED * peak)
        return shown

    def _act(self, stage: str, name: str, state: State, lasts: Flags) -> list[dict[str, Any]]:
        """Set members back, or give them up; what was done, for the record."""
        if not lasts.any():
            return []
        restarts = state.watch.get("restarts", np.zeros(len(lasts))) + lasts
        state.watch["restarts"] = restarts
        given_up = lasts & (restarts > MOST_RESTARTS)
        pace = np.where(given_up, 0.0, np.where(lasts, 0.5, 1.0)) * state.pace.numpy()
        state.pace.assign(pace.astype(np.float32))
        theirs = lasts.reshape(self.table.members, -1).any(axis=1)
        state.restart(lasts, np.repeat(theirs, self.table.critics), self.critic_start)
        return [
            {
                "stage": stage,
                "step": state.step,
                "member": int(member),
                "trouble": name,
                "given_up": bool(given_up[member]),
            }
            for member in np.flatnonzero(lasts)
        ]


def health(events: list[dict[str, Any]], members: int) -> tuple[str, ...]:
    """What became of a training, a sentence each; `HEALTHY` alone if nothing went wrong."""
    said = []
    for stage in dict.fromkeys(event["stage"] for event in events):
        for name, trouble in TROUBLES.items():
            own = [e for e in events if (e["stage"], e["trouble"]) == (stage, name)]
            if not own:
                continue
            struck = {event["member"] for event in own}
            lost = {event["member"] for event in own if event["given_up"]}
            done = "restarted from the best state at a lower rate"
            if lost:
                done += f", {len(lost)} given up and left there"
            said.append(
                f"{len(struck)} of {members} members {trouble.told} in {stage} ({done}); "
                f"{trouble.advice}"
            )
    return tuple(said) or (HEALTHY,)
