"""Does a model repeat the trials that it was trained on? Judged against trials it never saw.

Three questions, each with a control. Do virtual trials equal a training trial more often than
trials that have not seen it do? Do they lie nearer to training trials (Platzer & Reutterer 2021)?
Can it be told who was trained on, from how well virtual trials explain a real one (membership
inference; its advantage: Yeom et al. 2018)? A model that has only learned p(measurement |
parameters) treats both kinds alike, however good or bad it is.

Every fit follows its trials a little: the same attack on a Gaussian process that was fitted to them
says how much of it is usual here. Only what goes beyond that is memory.

The control are new trials, where there are some; else the model's own, each beside what a member
drew at its setting without having seen it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from virtlab.errors import ModelFileError
from virtlab.evaluation.estimates import Estimate
from virtlab.evaluation.heldout import HeldOut, read_held_out
from virtlab.evaluation.matching import Matched
from virtlab.evaluation.memory import Memory, beside_folds, beside_new

if TYPE_CHECKING:
    from virtlab.simulation import Model

_ESTIMATE = ("value", "low", "high")

FEWEST = (20, 5)  # pairs and settings
TRACE_NEARNESS, TRACE_ADVANTAGE = 0.55, 0.15  # less is not worth a word
CLEAR_NEARNESS, CLEAR_ADVANTAGE = 0.8, 0.7  # from here on it is memory, not a trace of it

NOTHING, SOME, MEMORISES, UNKNOWN = (
    "nothing found",
    "some memory",
    "memorises",
    "cannot be told",
)

# Measured: tests/benchmarks/memorisation.py.
SOUND = "sound fits to few trials do so, too: it matters where the trials must stay secret"


@dataclass(frozen=True)
class Audit:
    """What was found.

    Parameters
    ----------
    verdict
        ``nothing found``, ``some memory``, ``memorises`` or ``cannot be told``.
    words
        The verdict in a sentence, with its reason.
    control
        What training trials were held against: ``new trials``, ``held-out draws``, or ``trials kept
        apart`` from all members.
    pairs
        Training trials, and as many of the other kind, that it rests on.
    copies
        Share of virtual trials that equal a training trial which no other one equals, above that
        of the control.
    nearness
        Share of virtual trials that are nearer to a training trial than to a new one, or than
        held-out draws are; 0.5 if nothing is remembered.
    usual_nearness
        The same share of draws of a Gaussian process fitted to the same trials, beside new ones.
    advantage
        Of the attack that guesses who was trained on: true less false positive rate; 0 if
        nothing is remembered, 1 if it is always right.
    usual
        The same attack's advantage on a Gaussian process fitted to the same trials: what any good
        fit gives away.
    excess
        Advantage on the model above that on the process.
    gaps
        Median distance to the nearest training trial, in standard deviations: of virtual trials
        and of the control.
    """

    verdict: str
    words: str
    control: str
    pairs: int
    copies: Estimate | None = None
    nearness: Estimate | None = None
    usual_nearness: Estimate | None = None
    advantage: Estimate | None = None
    usual: Estimate | None = None
    excess: Estimate | None = None
    gaps: tuple[float, float] | None = None


def audit(model: Model, kept: HeldOut | None, new: Matched | None = None) -> Audit:
    """Look for training trials in what a model simulates.

    Parameters
    ----------
    kept
        Trials that it was trained on, and held-out draws at their settings; None: the model file
        keeps none.
    new
        Trials of the same lab that it never saw; None: there are none.
    """
    control = "held-out draws" if new is None else "new trials"
    if kept is None and new is None and model.manifest.get("audit"):
        return _as_examined(model)
    if kept is None:
        why = "the model file keeps none of the trials that it was trained on"
        return Audit(UNKNOWN, f"memorisation: {UNKNOWN}: {why}", control, 0)
    apart = kept.apart
    learned = kept.matched.at(~apart)
    if new is not None:
        found = beside_new(model, learned, new, FEWEST)
    elif apart.any():  # all members are alike there: none has seen them
        control = "trials kept apart"
        found = beside_new(model, learned, kept.matched.at(apart), FEWEST)
    else:
        found = beside_folds(model, kept, FEWEST)
    if found.advantage is not None:
        return _judge(found, control)
    which = "trials" if control == "held-out draws" else control
    why = (
        f"{found.pairs} complete {which} at {found.settings} settings inside the data; needs "
        f"{FEWEST[0]} at {FEWEST[1]}"
    )
    unknown = Audit(UNKNOWN, f"memorisation: {UNKNOWN}: {why}", control, found.pairs)
    # New trials that say too little leave the lab's own.
    own = unknown if new is None else audit(model, kept)
    return unknown if own.verdict == UNKNOWN else own


def examine(model: Model) -> dict[str, Any]:
    """Audit a model whose trials will be left out of its file, as values that it can keep."""
    return asdict(audit(model, read_held_out(model)))


def _as_examined(model: Model) -> Audit:
    """What `examine` found when the model was trained."""
    found: Any = model.manifest["audit"]

    def estimate(name: str) -> Estimate | None:
        number = found[name]
        return number and Estimate(*(float(number[key]) for key in _ESTIMATE))

    try:
        gaps = found["gaps"]
        return Audit(
            verdict=str(found["verdict"]),
            words=str(found["words"]),
            control=str(found["control"]),
            pairs=int(found["pairs"]),
            copies=estimate("copies"),
            nearness=estimate("nearness"),
            advantage=estimate("advantage"),
            usual=estimate("usual"),
            excess=estimate("excess"),
            gaps=gaps and (float(gaps[0]), float(gaps[1])),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{model.file.path}: its manifest.json garbles the audit ({error}); train again"
        ) from error


def _judge(found: Memory, control: str) -> Audit:
    """The verdict and its words."""
    copies, nearness, advantage = found.copies, found.nearness, found.advantage
    usual, excess = found.usual, found.excess
    assert copies is not None
    assert nearness is not None
    assert advantage is not None
    assert usual is not None
    assert excess is not None
    than = "than held-out draws are" if control == "held-out draws" else "than to a new one"
    fitted = found.usual_nearness
    near = nearness.low > max(0.5, fitted.high if fitted else 0.5)
    near = near and nearness.value >= TRACE_NEARNESS
    guessed = advantage.low > 0 and advantage.value >= TRACE_ADVANTAGE and excess.low > 0
    signs = []
    if copies.low > 0:
        signs.append(
            f"{copies.value:.1%} of virtual trials, more than of {control}, are exact copies"
        )
    if near:
        signs.append(
            f"{nearness.value:.0%} of virtual trials are nearer to a training trial {than}"
            + (f" ({fitted.value:.0%} with a Gaussian process)" if fitted else "")
        )
    if guessed:
        signs.append(
            "training trials are explained better than trials never seen: who was trained on can "
            f"be guessed with an advantage of {_interval(advantage)}, 1 being certainty "
            f"({usual.value:.2f} with a Gaussian process)"
        )
    strong = (
        copies.low > 0
        or (near and nearness.value >= CLEAR_NEARNESS)
        or (guessed and advantage.value >= CLEAR_ADVANTAGE)
    )
    verdict = MEMORISES if strong else SOME if signs else NOTHING
    words = "; ".join(signs) or (
        f"{found.pairs:,} training trials held against as many {control} (attack advantage "
        f"{_interval(advantage)}, {usual.value:.2f} with a Gaussian process; {nearness.value:.0%} "
        "nearer to training)"
    )
    if verdict == SOME:
        words += f"; {SOUND}"
    words = f"memorisation: {verdict}{': ' if signs else ' in '}{words}"
    return Audit(
        verdict,
        words,
        control,
        found.pairs,
        copies,
        nearness,
        fitted,
        advantage,
        usual,
        excess,
        found.gaps,
    )


def _interval(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
