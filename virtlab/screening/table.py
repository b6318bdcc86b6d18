"""A screen's dataset as rows of text: for the terminal and for the page."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.screening.dataset import GOAL, parameters_of
from virtlab.screening.numerals import alike, cell
from virtlab.screening.spread import Floats
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

WIDEST = 10_000
"""Characters, where there is no terminal to ask."""

LONGEST = 30
"""Characters of a category."""


@dataclass(frozen=True)
class Column:
    """Of a table: a head, and a text per setting.

    Parameters
    ----------
    needed
        Whether it stays where the terminal is narrow.
    """

    head: str
    cells: list[str]
    needed: bool = True


def columns(dataset: xr.Dataset, rows: slice | NDArray[np.intp]) -> list[Column]:
    """Some settings in words; parameters that vary in the screen, then what was found."""
    part = dataset.isel({SETTING: rows})
    found = [Column("rank", [str(place or "–") for place in part["rank"].values.tolist()])]
    found += [
        Column(name + bracketed(part[name].attrs), _cells(part[name].values.tolist()))
        for name in varying(dataset)
    ]
    if "expected_objective" in part:
        found += _goals(part)
    for name, head in {"best_probability": "P(best)", "front_probability": "P(front)"}.items():
        found += _shares(part, name, head)
    if "require_probability" in part:
        pairs = zip(
            part["require_probability"].values.tolist(),
            part["require_probability_error"].values.tolist(),
            strict=True,
        )
        cells = [f"{chance:.2f} ± {math.ceil(100 * error) / 100:.2f}" for chance, error in pairs]
        found.append(Column("P(require)", cells))
    found += _shares(part, "improvement_probability", "P(better)")
    if "expected_improvement" in part:
        cells = _spreads(part["expected_improvement"].values)
        found.append(Column("improvement", cells, needed=False))
    if "replicates" in part:
        cells = [_count(value) for value in part["replicates"].values.tolist()]
        found.append(Column("replicates", cells, needed=False))
    if "cost" in part:
        found.append(Column("cost", [cell(value, 4) for value in part["cost"].values]))
    return [*found, Column("domain", part["domain"].values.tolist())]


def _cells(values: list[Any]) -> list[str]:
    """Values of a parameter; long names without their middle, where that tells them apart."""
    texts = [cell(value) for value in values]
    cut = [text if len(text) <= LONGEST else f"{text[:18]}…{text[-11:]}" for text in texts]
    return cut if len(set(cut)) == len(set(texts)) else texts


def varying(dataset: xr.Dataset) -> list[str]:
    """Parameters with more than one value."""
    names = parameters_of(dataset)
    return [name for name in names if (dataset[name] != dataset[name][0]).any()]


def constants(dataset: xr.Dataset) -> str:
    """Parameters with one value: ``drag = 0.4 kg/s, release = 20 mm``."""
    own = [name for name in parameters_of(dataset) if name not in varying(dataset)]
    return ", ".join(
        f"{name} = {cell(dataset[name].values[0])}{_unit(dataset, name)}" for name in own
    )


def lines_of(table: list[Column], *, width: int = WIDEST) -> list[str]:
    """Lay a table out with rich; where it is too wide, units go below the names.

    Then, of columns that are not needed, the last go. What is still too wide is longer than the
    terminal, rather than cut.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=10_000, color_system=None, legacy_windows=False)
    if console.measure(_laid_out(table)).maximum > width:
        table = [replace(column, head=column.head.replace(" [", "\n[")) for column in table]
    keep = list(table)
    while console.measure(laid_out := _laid_out(keep)).maximum > width:
        spare = [column for column in keep if not column.needed]
        if not spare:
            break
        keep.remove(spare[-1])
    console.print(laid_out)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    left = ", ".join(column.head.replace("\n", " ") for column in table if column not in keep)
    return lines + wrapped(f"no room for {left}: widen the terminal, or use -o", width) * bool(left)


def wrapped(text: str, width: int) -> list[str]:
    """Break a sentence between words, where it is longer than a line."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _laid_out(table: list[Column]) -> Table:
    """Columns to the right, the last one to the left."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in table:
        last = column is table[-1]
        made.add_column(Text(column.head), justify="left" if last else "right", no_wrap=True)
    for row in zip(*(column.cells for column in table), strict=True):
        made.add_row(*map(Text, row))
    return made


def bracketed(attrs: Mapping[Any, Any]) -> str:
    """Give a unit in brackets, or nothing."""
    unit = attrs.get("units", "1")
    return "" if unit == "1" else f" [{unit}]"


def goals_of(dataset: xr.Dataset) -> list[tuple[str, str]]:
    """Goals, in words, and their units; ``""`` for none."""
    texts = dataset.attrs["goals"].splitlines()
    if GOAL in dataset.dims:
        return list(zip(texts, dataset[f"{GOAL}_units"].values.tolist(), strict=True))
    units = dataset["expected_objective"].attrs.get("units", "") if texts else ""
    return [(text, units) for text in texts]


def _goals(part: xr.Dataset) -> list[Column]:
    """Expected value with its interval, noise and ignorance, of each goal."""
    found, goals = [], goals_of(part)
    for number, (text, unit) in enumerate(goals):
        own = part if len(goals) == 1 else part.isel({GOAL: number})
        low, high = own["objective_low"].values, own["objective_high"].values
        step = float(np.median(high - low)) / 2
        ends = zip(alike(low, step), alike(high, step), strict=True)
        name = "objective" if len(goals) == 1 else text
        found += [
            Column(
                name + bracketed({"units": unit or "1"}),
                alike(own["expected_objective"].values, step),
            ),
            Column("90 %", [f"{low} to {high}" for low, high in ends], needed=False),
            Column("noise", _spreads(own["objective_noise"].values), needed=False),
            Column("ignorance", _ignorance(own), needed=False),
        ]
    return found


def _ignorance(own: xr.Dataset) -> list[str]:
    """What it is; where it is lost in noise, what it is below in 95 of 100 cases."""
    known, most = own["objective_ignorance"].values, own["objective_ignorance_high"].values
    lost = (known == 0) & (most > 0)
    cells = _spreads(np.where(lost, most, known))
    return [f"< {told}" if below else told for told, below in zip(cells, lost, strict=True)]


def _spreads(values: Floats) -> list[str]:
    """Standard deviations, or gains: two digits of a usual one that is not 0."""
    return alike(values, float(np.median(values[values > 0])) if (values > 0).any() else 0)


def _shares(part: xr.Dataset, name: str, head: str) -> list[Column]:
    """A column of probabilities, where the screen has it."""
    if name not in part:
        return []
    cells = ["–" if math.isnan(share) else f"{share:.2f}" for share in part[name].values.tolist()]
    return [Column(head, cells, needed=False)]


def _count(number: float) -> str:
    return "–" if math.isnan(number) else "many" if math.isinf(number) else f"{number:.0f}"


def _unit(dataset: xr.Dataset, name: str) -> str:
    unit = dataset[name].attrs.get("units", "1")
    return "" if unit == "1" else f" {unit}"
