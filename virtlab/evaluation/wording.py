"""The verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from virtlab.evaluation.comparison import Comparison
from virtlab.evaluation.scoring import LEVELS, Scored

MOST_NAMED = 4
TOLD_APART = 0.6  # an AUC that is worth a word
UNTRUE = 0.15  # coverage this far from what is stated belongs into the headline
FAR_OFF = 1.25  # a spread this many times too wide or too narrow is, too


def headline(held_out: Mapping[str, Mapping[str, Any]], comparison: Comparison | None) -> str:
    """Whether the model is worth having, in one sentence.

    Parameters
    ----------
    held_out
        The model file's scores, by measurement.
    """
    if comparison is None:
        where, rivals = "on held-out settings", "simpler models"
        good = {
            name: found["model"] < min(found["marginal"], found["nearest"])
            for name, found in held_out.items()
        }
        bad = "a simpler model does as well"
    else:
        where, rivals = "on the new trials", "ignoring the parameters"
        good = {s.measurement.name: _wins(s) for s in comparison.measurements}
        bad = "it is not clearly better"
    better = [name for name, wins in good.items() if wins]
    worse = [name for name, wins in good.items() if not wins]
    if not better:
        return f"For {_listed(worse, 'measurement')}, {bad} {where}: do not rely on the model."
    said = f"The model does better than {rivals} {where}"
    if worse:
        said += f" for {_named(better)}; {bad} for {_named(worse)}."
    else:
        said += f", for {_listed(better, 'measurement')}."
    return said + _reservation(held_out, comparison)


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
    said = [] if comparison is None else _of_new_trials(comparison)
    before = "" if comparison is None else "in training: "
    return said + [f"{before}{sentence}" for sentence in manifest["verdict"]]


def _of_new_trials(comparison: Comparison) -> list[str]:
    said = []
    for scored in comparison.measurements:
        said += _of_measurement(scored)
    apart = comparison.two_sample
    if apart.auc is None:
        said.append(f"whether virtual trials can be told from real ones {apart.note}")
    elif apart.auc.low > 0.5 and apart.auc.value >= TOLD_APART:
        said.append(
            f"a classifier tells virtual from real trials (AUC {apart.auc.value:.2f}; 0.5: cannot)"
        )
    counts = comparison.region_counts
    if counts["outside"]:
        said.append(
            f"{counts['outside']:,} of {comparison.settings:,} settings lie outside the training "
            "data, where the model guesses: see their scores apart"
        )
    if comparison.known:
        said.append(
            f"{comparison.known:,} of {comparison.settings:,} settings are among those the model "
            "was trained on: scores there say nothing of new settings"
        )
    return said


def _of_measurement(scored: Scored) -> list[str]:
    name, said = scored.measurement.name, []
    unit = f" {scored.measurement.units}" if scored.measurement.units not in ("", "1") else ""
    if not scored.trials:
        return [f"{name}: no new trial has a value"]
    if scored.trials < len(scored.compared.real):
        gone = len(scored.compared.real) - scored.trials
        said.append(f"{name}: {gone:,} of {len(scored.compared.real):,} new trials have no value")
    if not _wins(scored):
        said.append(
            f"{name}: ignoring the parameters does as well on the new trials "
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
    bias = scored.bias
    if (
        bias is not None
        and (bias.low > 0 or bias.high < 0)
        and abs(bias.value) > 0.2 * _size(scored)
    ):
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
