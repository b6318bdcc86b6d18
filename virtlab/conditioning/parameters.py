"""What a parameter is, and how to name one that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ParameterKind = Literal["continuous", "integer", "categorical", "cyclic"]
Scale = Literal["linear", "log", "reciprocal"]

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Parameter:
    """A quantity that is set in an experiment.

    Parameters
    ----------
    name
        The parameter's name.
    kind
        ``continuous``, ``integer``, ``categorical`` or ``cyclic`` (then `period`).
    units
        A pint-readable unit; ``"1"`` or ``""`` for none.
    scale
        How the generic conditioner sees it: ``linear``, ``log`` or ``reciprocal``.
    bounds
        Hard limits; a setting outside is an error.
    period
        Length of one turn, in `units`, of a cyclic parameter.
    categories
        What a categorical parameter may be.
    """

    name: str
    kind: ParameterKind = "continuous"
    units: str = ""
    scale: Scale = "linear"
    bounds: tuple[float, float] | None = None
    period: float | None = None
    categories: tuple[str, ...] = ()


def suggestion(name: str, known: Sequence[str]) -> str:
    """Text to end a message about an unknown name: the nearest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = list(known[:_MOST_SHOWN])
    more = f" and {len(known) - _MOST_SHOWN} more" if len(known) > _MOST_SHOWN else ""
    return f"; known: {', '.join(shown)}{more}" if known else ""
