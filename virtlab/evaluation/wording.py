"""The verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from virtlab.evaluation.baselines import Baseline
from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.scoring import LEVELS, Scored
from virtlab.evaluation.usefulness import Usefulness
from virtlab.scores import without_floor

MOST_NAMED = 4
TOLD_APART = 0.6  # an AUC that is worth a word
MOST_COPIED = 0.05  # of the trials with replicates, that pass without a word
UNTRUE = 0.15  # coverage this far from what is stated belongs into the headline
# Sentences of the model file that a comparison on the same trials tells anew.
RETOLD = ("on held-out settings", "is noise cannot be told")
FAR_OFF = 1.25  # a spread this many times too wide or too narrow is, too


def headline(held_out: Mapping[str, Mapping[str, Any]], comparison: Comparison | None) -> str:
    """Whether the model is worth having, in one sentence.

    Parameters
    ----------
    held_out
        The model file's scores, by measurement.
    """
    if comparison is not None and comparison.baselines:
        return _ranked(comparison) + _reservation(held_out, comparison)
    if comparison is None:
        where, baselines = "on held-out settings", "simpler models"
        good = {
            name: found["model"] < min(found["marginal"], found["nearest"])
            for name, found in held_out.items()
        }
        bad = "a simpler model does as well"
    else:
        where, baselines = _where(comparison), "ignoring the parameters"
        good = {s.measurement.name: _wins(s) for s in comparison.measurements}
        bad = "it is not clearly better"
    better = [name for name, wins in good.items() if wins]
    worse = [name for name, wins in good.items() if not wins]
    if not better:
        return f"For {_listed(worse, 'measurement')}, {bad} {where}: do not rely on the model."
    said = f"The model does better than {baselines} {where}"
    if worse:
        said += f" for {_named(better)}; {bad} for {_named(worse)}."
    else:
        said += f", for {_listed(better, 'measurement')}."
    return said + _reservation(held_out, comparison)


def _where(comparison: Comparison) -> str:
    return "on held-out settings" if comparison.held_out else "on the new trials"


def _ranked(comparison: Comparison) -> str:
    """Where the model is best, where a simpler one is as good, better, or nothing is learned."""
    by_standing: dict[str, list[str]] = {}
    for scored in comparison.measurements:
        if scored.trials:
            standing = "lost" if not _wins(scored) else _standing(scored, comparison.baselines)[0]
            by_standing.setdefault(standing, []).append(scored.measurement.name)
    where = _where(comparison)
    every = len(by_standing) == 1
    told = {
        "best": f"the model does better than every simpler model {where}",
        "level": f"the model does better than ignoring the parameters {where}, but a simpler "
        "model does as well",
        "beaten": f"a simpler model does better {where}: use that one",
        "lost": f"the model is not clearly better than ignoring the parameters {where}: do not "
        "rely on it",
    }
    parts = []
    for standing, said in told.items():
        names = by_standing.get(standing)
        if names:
            parts.append(f"for {_listed(names, 'measurement') if every else _named(names)}, {said}")
    text = "; ".join(parts) or "no trial has a value"
    return text[:1].upper() + text[1:] + "."


def _standing(scored: Scored, baselines: Sequence[Baseline]) -> tuple[str, Baseline]:
    """Whether the model is best, level with a baseline, or beaten; and the best baseline."""
    name = scored.measurement.name
    first = min(baselines, key=lambda baseline: baseline.behind[name].value)
    gap = first.behind[name]
    low, high = (gap.value if math.isnan(end) else end for end in (gap.low, gap.high))
    if high < 0:
        return "beaten", first
    return ("best" if low > 0 else "level"), first


def _reservation(held_out: Mapping[str, Mapping[str, Any]], comparison: Comparison | None) -> str:
    """A second sentence, where stated intervals are far from true."""
    if comparison is None:
        held = {name: found["coverage_90"] for name, found in held_out.items()}
    else:
        at = LEVELS.index(0.9)
        held = {
            s.measurement.name: s.coverage[at].value if s.coverage else None
            for s in comparison.measurements
        }
    off = {n: abs(share - 0.9) for n, share in held.items() if share is not None}
    name = max(off, key=lambda key: off[key], default=None)
    if name is None or not off[name] > UNTRUE:
        return ""
    return (
        f" But do not trust its intervals: those stated as 90 % held {held[name]:.0%} for {name}."
    )


def in_words(manifest: Mapping[str, Any], comparison: Comparison | None) -> list[str]:
    """What to know before relying on the model, a sentence each."""
    if comparison is None:
        return list(manifest["verdict"])
    said = _of_trials(comparison)
    if not comparison.held_out:
        return said + [f"in training: {sentence}" for sentence in manifest["verdict"]]
    return said + [
        sentence for sentence in manifest["verdict"] if not any(old in sentence for old in RETOLD)
    ]


def _of_trials(comparison: Comparison) -> list[str]:
    said = _against_baselines(comparison, best=False)
    for scored in comparison.measurements:
        said += _of_measurement(scored, comparison)
    said += _of_copies(comparison) + _of_classifier(comparison)
    counts = comparison.region_counts
    if counts["outside"]:
        beyond = "what their judges had seen" if comparison.held_out else "the training data"
        said.append(
            f"{counts['outside']:,} of {comparison.settings:,} settings lie outside {beyond}, "
            "where the model guesses: see their scores apart"
        )
    if comparison.known:
        said.append(
            f"{comparison.known:,} of {comparison.settings:,} settings are among those the model "
            "was trained on: scores there say nothing of new settings"
        )
    if comparison.learned_from and not comparison.baselines:
        said.append("no simpler model was compared with")
    elif not comparison.learned_from:
        said.append(
            "the model file keeps no trials, so that simpler models could not be compared with"
        )
    said += _against_baselines(comparison, best=True)
    return said + [_of_usefulness(found) for found in comparison.usefulness]


def _of_copies(comparison: Comparison) -> list[str]:
    """That replicates are the same trial again, where many are."""
    repeated = max(scored.repeated for scored in comparison.measurements)
    if comparison.copied < max(MOST_COPIED * repeated, 2):
        return []
    return [
        f"{comparison.copied:,} of {repeated:,} trials that share their setting equal another one "
        "there to the last digit: if they are copies and no replicates, the floor, and all that is "
        "said of replicates, is too low"
    ]


def _of_classifier(comparison: Comparison) -> list[str]:
    """Whether virtual trials are found out, and whose trials are less so."""
    own = comparison.two_sample.auc
    if own is None:
        return [f"whether virtual trials can be told from real ones {comparison.two_sample.note}"]
    if own.low <= 0.5 or own.value < TOLD_APART:
        return []
    said = f"a classifier tells virtual from real trials (AUC {own.value:.2f}; 0.5: cannot)"
    less = {
        baseline.name: auc.value
        for baseline in comparison.baselines
        # Those far below 0.5 repeat real trials.
        if (auc := baseline.two_sample.auc) and auc.high < own.low and auc.high >= 0.5
    }
    if less:
        name = min(less, key=lambda each: less[each])
        said += f", more often than those of {name} ({less[name]:.2f})"
    return [said]


def _of_usefulness(found: Usefulness) -> str:
    """What virtual trials are worth to those who would learn from them."""
    gain = found.help
    if gain.low > 0:
        told = f"lower its error on real ones by {gain.value / found.real.value:.0%}"
    elif gain.high < 0 and not found.real.value > 0:
        told = "raise its error on real ones, which were told without any"
    elif gain.high < 0:
        told = f"raise its error on real ones by {-gain.value / found.real.value:.0%}"
    else:
        told = "change its error on real ones by nothing that could be told from chance"
    text = (
        f"{found.measurement}: virtual trials added to the real ones that a regressor learns "
        f"from {told}"
    )
    if found.worth is not None:
        text += (
            f"; alone they teach it as much as {found.worth:,} of {found.settings:,} real settings"
        )
    return text + "; they hold no information that the training trials do not"


def _against_baselines(comparison: Comparison, *, best: bool) -> list[str]:
    """Which simpler model comes closest, and what to do about it."""
    if not comparison.baselines:
        return []
    return [
        _against_baseline(scored, comparison)
        for scored in comparison.measurements
        if scored.trials and (_standing(scored, comparison.baselines)[0] == "best") is best
    ]


def _against_baseline(scored: Scored, comparison: Comparison) -> str:
    name = scored.measurement.name
    standing, baseline = _standing(scored, comparison.baselines)
    unit = _unit(scored)
    gap, own = baseline.behind[name], scored.model.value
    share = f"{abs(gap.value) / own:.0%}" if own > 0 else f"{abs(gap.value):.3g}{unit}"
    interval = (
        "" if math.isnan(gap.low) else f", 90 % interval {gap.low:.3g} to {gap.high:.3g}{unit}"
    )
    score = f"{baseline.measurements[_place(scored, comparison)].model.value:.4g} against {own:.4g}"
    if standing == "beaten":
        return (
            f"{name}: {baseline.name} does better: use it; the model is {share} behind "
            f"({score}{unit}{interval})"
        )
    if standing == "level":
        side = "ahead" if gap.value > 0 else "behind"
        return (
            f"{name}: {baseline.name} does as well and is simpler: use it; the model is {share} "
            f"{side} ({score}{unit}{interval})"
        )
    return (
        f"{name}: the model is best; next comes {baseline.name}, {share} behind "
        f"({score}{unit}{interval})"
    )


def _unit(scored: Scored) -> str:
    """With a blank before it, or nothing."""
    return f" {scored.measurement.units}" if scored.measurement.units not in ("", "1") else ""


def _place(scored: Scored, comparison: Comparison) -> int:
    return comparison.measurements.index(scored)


def _of_measurement(scored: Scored, comparison: Comparison) -> list[str]:
    name, said = scored.measurement.name, []
    unit = _unit(scored)
    kind = "held-out trial" if comparison.held_out else "new trial"
    if not scored.trials:
        return [f"{name}: no {kind} has a value"]
    if scored.trials < len(scored.compared.real):
        gone = len(scored.compared.real) - scored.trials
        said.append(f"{name}: {gone:,} of {len(scored.compared.real):,} {kind}s have no value")
    if not _wins(scored):
        said.append(
            f"{name}: ignoring the parameters does as well {_where(comparison)} "
            f"({scored.marginal.value:.4g} against {scored.model.value:.4g}{unit})"
        )
    if scored.coverage:
        covered = scored.coverage[LEVELS.index(0.9)]
        sure = covered.high < 0.9 or covered.low > 0.9 or math.isnan(covered.low)
        if abs(covered.value - 0.9) > 0.05 and sure:
            kind = "narrow" if covered.value < 0.9 else "wide"
            said.append(
                f"{name}: intervals are too {kind}: those stated as 90 % held {covered.value:.0%}"
            )
    ratio = scored.spread_ratio
    if ratio > FAR_OFF or ratio < 1 / FAR_OFF:
        said.append(f"{name}: virtual trials scatter {ratio:.2g} times as much as real replicates")
    if math.isnan(scored.floor):
        said.append(without_floor(name, scored.repeated, scored.trials))
    bias = None if scored.mean is None else scored.mean.bias
    if bias and (bias.low > 0 or bias.high < 0) and abs(bias.value) > 0.2 * _size(scored):
        where = "above" if bias.value > 0 else "below"
        said.append(f"{name}: virtual trials lie {abs(bias.value):.3g}{unit} {where} real ones")
    return said


def _size(scored: Scored) -> float:
    """What an error is measured by: the model's own score, which is a typical error."""
    return scored.model.value


def _wins(scored: Scored) -> bool:
    """Clearly better than the marginal."""
    gain = scored.gain
    return gain.low > 0 if not math.isnan(gain.low) else gain.value > 0


def _listed(names: list[str], what: str) -> str:
    """``toughness``, or ``all 5 measurements``."""
    all_of_them = "both" if len(names) == 2 else f"all {len(names)}"
    return names[0] if len(names) == 1 else f"{all_of_them} {what}s"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
