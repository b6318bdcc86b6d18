"""A screen as one self-contained HTML page, made from its dataset alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.config import Params
from virtlab.modelfile import replace_whole
from virtlab.progress import Progress, Report
from virtlab.report.contents import Number
from virtlab.report.fronts import draw_domain, draw_front
from virtlab.report.page import SUFFIXES, check_report, fill
from virtlab.report.rankings import draw_expected, draw_unknown, labelled
from virtlab.report.sections import Figure, make_figure
from virtlab.report.slices import Along, alongs, draw_along, draw_map
from virtlab.report.together import Table
from virtlab.screening import Screen, screen, write_screen
from virtlab.screening.dataset import GOAL
from virtlab.screening.numerals import alike
from virtlab.screening.output import check_output, outputs_of
from virtlab.screening.remarks import remarks
from virtlab.screening.table import Column, bracketed, columns, constants, goals_of, varying
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

TEMPLATE = "screen.html"
ROWS = 25
MOST_PAIRS = 3  # of goals


def screen_to_files(
    params: Params,
    *,
    output: Path | Sequence[Path] | None = None,
    force: bool = False,
    report: Report | None = None,
    **asked: Any,
) -> Screen:
    """Screen, and write what was found: a page, or what `virtlab.screening` writes.

    Parameters
    ----------
    output
        One name or several that end in ``.html``, or as `virtlab.screening.screen` has them.
    params, force, report, asked
        See `virtlab.screening.screen`.

    Raises
    ------
    VirtlabError
        As `virtlab.screening.screen` does, or an output cannot be written.
    """
    tell = report or (lambda _progress: None)
    outputs = outputs_of(output)
    for path in outputs:
        _check(path)(path, force=force)
    found = screen(params, report=tell, **asked)
    for path in outputs:
        tell(Progress("writing", 1.0, message=path.name))
        write = write_page if path.suffix.lower() in SUFFIXES else write_screen
        write(found.dataset, path, force=force)
    return Screen(found.dataset, found.objective, outputs, found.suggestion)


def _check(path: Path) -> Callable[..., None]:
    return check_report if path.suffix.lower() in SUFFIXES else check_output


def write_page(dataset: xr.Dataset, path: Path, *, force: bool = False) -> None:
    """Write a screen's page whole or not at all.

    Raises
    ------
    ConfigError, OutputError
        See `check_report`; or it cannot be written.
    """
    check_report(path, force=force)
    replace_whole(path, render_screen(dataset).encode(errors="replace"))


def render_screen(dataset: xr.Dataset) -> str:
    """A screen's dataset as HTML."""
    return fill(TEMPLATE, screen_contents(dataset))


def screen_contents(dataset: xr.Dataset) -> dict[str, Any]:
    """Everything that the template names."""
    attrs = dataset.attrs
    ranked = int((dataset["rank"] > 0).sum())
    apart = dataset.sizes[SETTING] - ranked
    return {
        "title": attrs["title"].removeprefix("screen: "),
        "asked": attrs["objective"],
        "held": constants(dataset),
        "about": f"{dataset.sizes[SETTING]:,} settings, {attrs['trials_per_setting']:,} virtual "
        f"trials at each, drawn by {attrs['members']} members.",
        "headline": _headline(dataset, ranked),
        "numbers": _numbers(dataset, ranked),
        "trust": attrs["trust"].splitlines(),
        "remarks": remarks(dataset),
        "ranked": _table(dataset, 0, min(ranked, ROWS), f"The best of {ranked:,} ranked settings"),
        "suggested": _suggested(dataset),
        "outside": _table(
            dataset, ranked, ranked + min(apart, ROWS), f"{apart:,} settings, nearest first"
        ),
        "sections": _sections(dataset, ranked),
        "front": _front(dataset),
        "provenance": [
            ("sha256 of the model file", attrs["model_sha256"]),
            ("sha256 of the training data", attrs["training_data_sha256"]),
            ("conditioner", attrs["conditioner"]),
            ("screened by", f"virtlab {attrs['virtlab_version']}, seed {attrs['seed']}"),
        ],
        "params": attrs.get("params", ""),
    }


def _headline(dataset: xr.Dataset, ranked: int) -> str:
    """The first setting, in words."""
    if not ranked:
        return "No setting lies inside the training data or at its edge: none is ranked."
    first = dataset.isel({SETTING: 0})
    names = varying(dataset)
    cells = {column.head: column.cells[0] for column in columns(dataset, slice(0, 1))}
    at = ", ".join(f"{name} = {cells[name + bracketed(dataset[name].attrs)]}" for name in names)
    at = at or constants(dataset)
    if not goals_of(dataset):
        chance = float(first["require_probability"])
        return f"First: {at}; {chance:.0%} of trials meet what is required."
    if GOAL in dataset.dims:
        size = int((dataset["front"] == 1).sum())
        return f"{size:,} settings stand on the Pareto front; the surest of them: {at}."
    unit, mean = goals_of(dataset)[0][1], _expected(first)[0]
    return f"First: {at}; expected {_goal_names(dataset)[0]}: {mean} {unit}".rstrip() + "."


def _expected(first: xr.Dataset) -> list[str]:
    """Of one setting and goal: what is expected, and the ends of its interval."""
    low, high = float(first["objective_low"]), float(first["objective_high"])
    return alike([float(first["expected_objective"]), low, high], (high - low) / 2)


def _numbers(dataset: xr.Dataset, ranked: int) -> list[Number]:
    """What is worth knowing of the first setting, large."""
    if not ranked:
        return []
    first = dataset.isel({SETTING: 0})
    found = []
    if goals_of(dataset) and GOAL not in dataset.dims:
        mean, low, high = _expected(first)
        unit = bracketed(first["expected_objective"].attrs)
        label = f"expected {_goal_names(dataset)[0]}{unit}"
        found.append(Number(mean, label, f"90 % interval {low} to {high}"))
    for name, label in (
        ("best_probability", "that no other setting is expected to be better"),
        ("front_probability", "that it stands on the Pareto front"),
        ("require_probability", "that a trial there meets what is required"),
        ("improvement_probability", "that a trial there beats the best measured one"),
    ):
        if name in first:
            share = float(first[name])
            value = "< 1%" if share < 0.005 else f"{share:.0%}"
            found.append(Number(value, "probability", label))
    apart = dataset.sizes[SETTING] - ranked
    found.append(Number(f"{ranked:,}", "settings ranked", f"{apart:,} outside the training data"))
    return found[:4]


def _table(dataset: xr.Dataset, start: int, stop: int, caption: str) -> Table | None:
    if start == stop:
        return None
    found = _with_domain_ahead(dataset, slice(start, stop))
    rows = [list(row) for row in zip(*(column.cells for column in found), strict=True)]
    more = dataset.sizes[SETTING] if start else int((dataset["rank"] > 0).sum())
    note = f"… and {more - stop:,} more." if more > stop else ""
    return Table(caption, [column.head for column in found], rows, note)


def _with_domain_ahead(dataset: xr.Dataset, rows: slice | NDArray[np.intp]) -> list[Column]:
    """The columns of the terminal, but with the domain where a narrow window shows it."""
    found = columns(dataset, rows)
    found.insert(1 + len(varying(dataset)), found.pop())
    return found


def _suggested(dataset: xr.Dataset) -> Table | None:
    """The batch to run next, if one was asked for."""
    if "suggested" not in dataset:
        return None
    number = dataset["suggested"].values
    chosen = np.flatnonzero(number)[np.argsort(number[number > 0], kind="stable")]
    found = _with_domain_ahead(dataset, chosen)
    places = [str(place) for place in range(1, len(chosen) + 1)]
    rows = [list(row) for row in zip(places, *(column.cells for column in found), strict=True)]
    return Table(
        "Settings that are good together, in the order of choice",
        ["next", *(column.head for column in found)],
        rows,
    )


def _goal_names(dataset: xr.Dataset) -> list[str]:
    return str(dataset.attrs["goal_names"]).splitlines()


def _sections(dataset: xr.Dataset, ranked: int) -> list[dict[str, Any]]:
    """Figures of each goal, and of what is required."""
    made = []
    for number, (text, _) in enumerate(goals_of(dataset)):
        one = dataset.isel({GOAL: number}) if GOAL in dataset.dims else dataset
        unit = bracketed({"units": goals_of(dataset)[number][1] or "1"})
        measured = dataset.attrs.get("best_measured")
        best = None if measured is None or GOAL in dataset.dims else float(np.ravel(measured)[0])
        name = _goal_names(dataset)[number] + unit
        figures = []
        if ranked:
            kept = one.isel({SETTING: slice(0, ranked)})
            figures = [
                make_figure(
                    draw_expected(kept, name, best),
                    f"The first settings ({labelled(kept)}): expected value, its 90 % interval, "
                    "and one standard deviation between trials.",
                ),
                make_figure(
                    draw_unknown(kept, name),
                    "Replicates average noise out; only new data lessen ignorance (the thin line "
                    "ends where it does in 95 of 100 cases) and what all members miss together.",
                ),
            ]
        fewer = not text.startswith("maximize")
        figures += _over_parameters(one, name, best, fewer=fewer)
        figures.append(
            make_figure(
                draw_domain(one, name, best),
                "Distance from the training data; the dotted lines are where inside and edge end.",
            )
        )
        made.append({"title": text[0].upper() + text[1:], "figures": figures})
    if "require_probability" in dataset:
        chance = _as_goal(dataset)
        said = ", ".join(dataset.attrs["require"].splitlines())
        figures = _over_parameters(chance, "P(require)", None, fewer=False)
        made.append({"title": f"Require {said}", "figures": figures})
    return made


def _over_parameters(
    one: xr.Dataset, name: str, best: float | None, *, fewer: bool
) -> list[Figure]:
    """A map over the two parameters that change most, and a figure along each."""
    found, drawn = alongs(one), []
    pair = _pair(found)
    if pair is not None and (svg := draw_map(one, *pair, name, fewer=fewer)) is not None:
        sliced = ", the others as in the first setting" * (pair[0].sliced and pair[1].sliced)
        drawn.append(
            make_figure(
                svg,
                f"The two parameters that change it most{sliced}; bright is good, the star is the "
                "first setting, crosses lie outside the data.",
            )
        )
    for along in found:
        what = "the others as in the first setting" if along.sliced else "all settings"
        drawn.append(
            make_figure(draw_along(one, along, name, best), f"Along {along.name}, {what}.")
        )
    return drawn


def _pair(found: list[Along]) -> tuple[Along, Along] | None:
    """The two that change most and can be put on a grid."""
    return (found[0], found[1]) if len(found) > 1 else None


def _as_goal(dataset: xr.Dataset) -> xr.Dataset:
    """The probability of meeting what is required, drawn as a goal is."""
    chance, error = dataset["require_probability"], 1.645 * dataset["require_probability_error"]
    names = [n for n, v in dataset.data_vars.items() if GOAL not in v.dims and n != "front"]
    return dataset[names].assign(
        expected_objective=chance,
        objective_low=(chance - error).clip(0, 1),
        objective_high=(chance + error).clip(0, 1),
        objective_noise=0 * chance,
    )


def _front(dataset: xr.Dataset) -> list[Figure]:
    """Each pair of goals, of three at most."""
    if GOAL not in dataset.dims:
        return []
    units = [bracketed({"units": unit or "1"}) for _, unit in goals_of(dataset)]
    names = [name + unit for name, unit in zip(_goal_names(dataset), units, strict=True)]
    return [
        make_figure(
            draw_front(dataset, first, second, names),
            "Settings that no other one is expected to beat in every goal, with 90 % intervals.",
        )
        for first, second in list(combinations(range(len(names)), 2))[:MOST_PAIRS]
    ]
