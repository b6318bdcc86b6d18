"""How long work tells whoever waits where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where the work stands.

    Parameters
    ----------
    stage
        What is being done.
    fraction
        Of the whole work.
    score
        Held-out energy score relative to the marginal's; 1: as bad as ignoring the parameters.
    seconds_left
        At most, at the present pace.
    message
        More in words.
    note
        What should stay to be read.
    """

    stage: str
    fraction: float
    score: float | None = None
    seconds_left: float | None = None
    message: str = ""
    note: str = ""


Report = Callable[[Progress], None]
