"""What a guess at an experiment consists of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from virtlab.storage.survey import Series
from virtlab.storage.varying import Single


@dataclass
class Guess:
    """What the starter will say.

    Parameters
    ----------
    reader, groups, grid
        As in ``[data]``; `grid` holds the paths of its parameters.
    parameters, measurements
        In the order of the file. A `Single` is one value per file or group.
    axes
        Measurement's path to one axis per own dim, None where none was found.
    curved
        Measurement's path to coordinates that span all its own dims.
    trial_dims
        Measurement's path to its trial axis, where that is not the first.
    parity
        Whether even and odd rows differ, as if two states were prepared in turn.
    notes
        Comments for ``[data]``.
    left_out
        Path to why it was left out.
    """

    reader: str = "table"
    groups: str = ""
    grid: list[str] = field(default_factory=list)
    parameters: list[Series | Single] = field(default_factory=list)
    measurements: list[Series | Single] = field(default_factory=list)
    axes: dict[str, list[Series | None]] = field(default_factory=dict)
    curved: dict[str, list[Series]] = field(default_factory=dict)
    trial_dims: dict[str, int] = field(default_factory=dict)
    parity: bool = False
    notes: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def named_in(found: Guess) -> set[str]:
    """Collect the paths that a guess uses."""
    axes = [axis for own in found.axes.values() for axis in own if axis is not None]
    return {each.path for each in [*found.parameters, *found.measurements, *axes]}


def without_row_numbers(found: Guess) -> Guess:
    """Leave out parameters that only number the rows, or the groups, where others remain."""
    numbered = [each for each in found.parameters if each.numbered and not each.units]
    if found.reader == "files" or len(numbered) == len(found.parameters) or found.grid:
        return found
    kept = [each for each in found.parameters if not any(each is other for other in numbered)]
    what = "rows" if found.reader == "table" else "groups"
    told = {each.path: f"it only numbers the {what}" for each in numbered}
    return replace(found, parameters=kept, left_out=found.left_out | told)
