"""What the page says: verdicts on settings and on the model, and a setting as params.toml."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from virtlab.domain import NEVER_RUN
from virtlab.explorer.spans import Setting, Value
from virtlab.screening.spread import expect, told_ignorance
from virtlab.storage.naming import quoted

if TYPE_CHECKING:
    from virtlab.explorer.sampling import Draws, Sampler

# A sign and a word beside the colour: not everybody tells green from orange.
_SIGNS = {"inside": "●", "edge": "▲", "outside": "■"}
_MEANINGS = {
    "inside": "inside the data",
    "edge": "at the edge of the data",
    "outside": "outside the data: the model guesses",
}


def verdict_of(name: str, draws: Draws) -> str:
    """Whether a setting lies inside the data, as HTML."""
    far = f"{draws.distance:.1f} times the usual gap"
    if draws.distance == NEVER_RUN:
        far += " or more, or values never run together"
    return (
        f'<span class="verdict {draws.domain}"><b>{name}</b> {_SIGNS[draws.domain]} '
        f"{_MEANINGS[draws.domain]} <small>({far} away)</small></span>"
    )


def fault_of(name: str, text: str) -> str:
    """Why there are no trials at a setting, as HTML."""
    return f'<span class="verdict fault"><b>{name}</b> ✕ {html.escape(text)}</span>'


def spread_of(values: NDArray[Any], draws: Draws, role: str) -> str:
    """Mean of a scalar, noise and ignorance apart, and a bar of their variances, as HTML.

    The mean alone where members drew too few trials to be told apart, or are alike.
    """
    mean = f"mean {values.mean():.3g}"
    if draws.members < 2 or draws.trials < 2 * draws.members:
        return f"<div>{mean}</div>"
    found = expect(values[None].astype(float), draws.member[None], draws.members)
    noise, own, most = (float(x[0]) for x in (found.noise, found.ignorance, found.ignorance_high))
    if not most and not noise:
        return f"<div>{mean}</div>"
    share = own**2 / (own**2 + noise**2) if own else 0.0
    return (
        f'<div class="spread {role}"><span class="bar"><i style="width: {share:.1%}"></i></span>'
        f"{mean}, noise {noise:.2g}, ignorance {html.escape(told_ignorance(own, most))}</div>"
    )


def trust_in(score: Mapping[str, Any]) -> str:
    """How a measurement fared on settings held out of training, as text."""
    gain = 1 - score["model"] / score["marginal"] if score["marginal"] else 0.0
    said = f"Held-out error {max(gain, 0.0):.0%} below that of ignoring the parameters"
    if score["coverage_90"] is not None:
        said += f"; 90 % intervals held {score['coverage_90']:.0%}"
    return said.replace(" %", "\u00a0%") + "."


def params_of(sampler: Sampler, settings: Sequence[Setting]) -> str:
    """params.toml that simulates what the page shows."""
    lines = [
        f"model = {quoted(str(sampler.model.file.path.absolute()))}",
        f"trials = {sampler.trials}",
        f"seed = {sampler.seed}",
        'output = "virtual.nc"',
    ]
    if len(settings) > 1:
        lines.append('design = "zip"                 # first values together, then the second')
    lines += ["", "[parameters]"]
    for name in settings[0]:
        values = [setting[name] for setting in settings]
        same = all(value == values[0] for value in values)
        written = _written(values[0]) if same else f"[{', '.join(map(_written, values))}]"
        lines.append(f"{_key(name)} = {written}")
    return "\n".join(lines) + "\n"


def _written(value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else repr(value)


def _key(name: str) -> str:
    """Write a name, which in a stranger's model may be anything."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)
