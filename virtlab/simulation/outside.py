"""Settings outside the data: how many, which one is farthest, and how to say so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.design import Design
from virtlab.domain import NEVER_RUN, verdicts
from virtlab.errors import DomainError


@dataclass(frozen=True)
class Outside:
    """What lies outside the data, of the settings of a design.

    Parameters
    ----------
    count, settings
        How many, of how many.
    setting
        The farthest one: a value per parameter.
    distance
        Its distance to the nearest training setting; up to 1 is inside.
    """

    count: int
    settings: int
    setting: dict[str, Any]
    distance: float

    @property
    def farthest(self) -> dict[str, Any]:
        """The farthest setting, for JSON."""
        told = asdict(self)
        return {key: told[key] for key in ("setting", "distance")}

    def __str__(self) -> str:
        where = ", ".join(f"{name} = {_short(value)}" for name, value in self.setting.items())
        lie = "lies" if self.count == 1 else "lie"
        how = f"{self.distance:.1f} times the usual gap"
        if self.distance == NEVER_RUN:
            how = f"{how} or more, or values never run, alone or together"
        return (
            f"{self.count:,} of {self.settings:,} settings {lie} outside the data, where the model "
            f"guesses; farthest ({how}): {where}"
        )


def find_outside(design: Design, distance: NDArray[np.float64]) -> Outside | None:
    """Look for settings outside the data; None where there is none.

    Parameters
    ----------
    distance
        Of each setting, see `virtlab.domain.Domain.distance`.
    """
    count = int((verdicts(distance) == "outside").sum())
    if not count:
        return None
    at = int(np.argmax(distance))
    setting = {name: _native(values[at]) for name, values in design.settings.items()}
    return Outside(count, design.size, setting, float(distance[at]))


def refuse_outside(design: Design, distance: NDArray[np.float64]) -> None:
    """Refuse a design of which settings lie outside the data.

    Raises
    ------
    DomainError
        How many do, and which one is farthest.
    """
    found = find_outside(design, distance)
    if found is not None:
        raise DomainError(f"{found}\nleave them out, measure there, or simulate without strict")


def _native(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
