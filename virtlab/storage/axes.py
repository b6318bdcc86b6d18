"""A measurement's own axes: which series of a lab file holds the values along each."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from virtlab.storage.survey import Series, Survey


def own_axes(
    survey: Survey,
    path: str,
    shape: Sequence[int],
    declared: Sequence[Series | None],
    used: Collection[str],
) -> list[Series | None]:
    """Find a series for each own dim: declared by the file, or by its length and its place.

    Parameters
    ----------
    survey
        The file.
    path, shape
        Of the measurement; the shape without trials.
    declared
        What the file says, as far as it does.
    used
        Paths that are something else already.

    Returns
    -------
    axes
        One per dim, None where there is none.
    """
    found: list[Series | None] = []
    for number, size in enumerate(shape):
        axis = declared[number] if number < len(declared) else None
        found.append(fitting(axis, size) or _nearest(survey, path, size, used, found))
    return found


def fitting(axis: Series | None, size: int) -> Series | None:
    """Keep an axis that has a value per point, or the points' edges."""
    return axis if axis is not None and axis.shape in ((size,), (size + 1,)) else None


def is_monotonic(series: Series) -> bool:
    """Whether numbers never fall, or never rise."""
    if series.text or len(series.shape) > 1 or series.values.size < 2:
        return False
    steps = np.diff(np.asarray(series.values, dtype=np.float64))
    return bool((steps >= 0).all() or (steps <= 0).all())


def _nearest(
    survey: Survey, path: str, size: int, used: Collection[str], taken: Sequence[Series | None]
) -> Series | None:
    """Find a steadily rising or falling series of the right length, preferably close by."""
    possible = [
        each
        for each in survey.series
        if each.shape in ((size,), (size + 1,))
        and each.path not in used
        and not any(each is other for other in taken)
        and (each.hint == "axis" or (is_monotonic(each) and len(each.distinct) == each.shape[0]))
    ]

    def rank(each: Series) -> tuple[bool, bool, int]:
        return each.shape != (size,), each.hint != "axis", -_shared(each.path, path)

    return min(possible, key=rank, default=None)


def _shared(first: str, second: str) -> int:
    """Count the groups that two paths have in common."""
    count = 0
    for one, other in zip(first.split("/"), second.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count
