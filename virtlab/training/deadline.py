"""`max_time`: for the whole of a training, from reading the lab files to the model file."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

EXPORTING = 7.0  # seconds kept for what takes as long for few trials as for many
LEAST_EFFORT = 0.1


@dataclass(frozen=True)
class Deadline:
    """When a training must be done.

    Parameters
    ----------
    end
        On the clock of `time.monotonic`; infinity: it may take as long as it takes.
    """

    end: float

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """So many seconds from now; None: never."""
        return cls(math.inf if seconds is None else time.monotonic() + seconds)

    @property
    def left(self) -> float | None:
        """Seconds left beside those for exporting, 0 at least; None: no limit."""
        if math.isinf(self.end):
            return None
        return max(0.0, self.end - time.monotonic() - EXPORTING)

    @property
    def halfway(self) -> Deadline:
        """For the first of two works that share what is left."""
        left = self.left
        return self if left is None else Deadline(time.monotonic() + left / 2 + EXPORTING)

    def effort(self, seconds: float) -> float:
        """Share of a work of so many seconds that still fits, from `LEAST_EFFORT` to 1."""
        left = self.left
        if left is None or left >= seconds:
            return 1.0
        return max(LEAST_EFFORT, left / seconds)
