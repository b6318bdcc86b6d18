"""A screen's result: one dataset; the terminal's lines and JSON are views of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.screening.dataset import parameters_of
from virtlab.screening.findings import LIKELY
from virtlab.screening.objective import Objective, cell
from virtlab.screening.suggestion import Suggestion
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

TOP = 10
_GOAL_CELLS = (
    "expected_objective",
    "objective_ignorance",
    "objective_ignorance_high",
    "objective_noise",
)


@dataclass(frozen=True)
class Screen:
    """Ranked settings.

    Parameters
    ----------
    dataset
        Dim ``setting``: best first, then, with rank 0, those outside the data, nearest first.
        Parameters are its coordinates; ``virtual_data`` among its attrs is 1.
    objective
        What was asked for.
    output
        Where it was written, if anywhere.
    suggestion
        What to run next, if that was asked for.
    """

    dataset: xr.Dataset
    objective: Objective
    output: Path | None = None
    suggestion: Suggestion | None = None

    @property
    def ranked(self) -> int:
        """How many settings are ranked; the rest lie outside the data."""
        return int((self.dataset["rank"] > 0).sum())

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every setting."""
        rows, attrs = self._rows(0, self.dataset.sizes[SETTING]), self.dataset.attrs
        cost = self.objective.cost
        return {
            "output": None if self.output is None else str(self.output),
            "objective": {
                "goals": [goal.text for goal in self.objective.goals],
                "require": [item.text for item in self.objective.require],
                "cost": None if cost is None else cost.text,
            },
            "settings": len(rows),
            "trials": attrs["trials_per_setting"],
            "members": attrs["members"],
            "seed": int(attrs["seed"]),
            "model_sha256": attrs["model_sha256"],
            "ranked": rows[: self.ranked],
            "outside": rows[self.ranked :],
            "suggested": self._batch(),
            "trust": attrs["trust"].splitlines(),
        }

    def lines(self) -> list[str]:
        """For the terminal: the best, and apart from them what lies outside the data."""
        attrs, size = self.dataset.attrs, self.dataset.sizes[SETTING]
        lines = [
            f"{self.objective.text}: {size:,} settings, {attrs['trials_per_setting']:,} virtual "
            f"trials at each, {attrs['members']} members, seed {attrs['seed']}"
        ]
        if constant := self._constants():
            lines.append(f"at {constant}")
        lines += self._table(0, min(TOP, self.ranked))
        if self.ranked > TOP:
            lines.append(f"… and {self.ranked - TOP:,} more")
        lines += self._remarks()
        if apart := size - self.ranked:
            lines.append(
                f"not ranked: {apart:,} of {size:,} settings lie outside the training data, where "
                "the model guesses; nearest first:"
            )
            lines += self._table(self.ranked, self.ranked + min(TOP, apart))
            lines += [f"… and {apart - TOP:,} more"] * (apart > TOP)
        lines += self._suggested()
        lines += [f"trust: {said}" for said in attrs["trust"].splitlines()]
        return lines + ([] if self.output is None else [f"written to {self.output}"])

    def __repr__(self) -> str:
        return "<virtlab screen>\n" + "\n".join(self.lines())

    def _rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Settings `start` to `stop` as plain Python."""
        part = self.dataset.isel({SETTING: slice(start, stop)})
        parameters = {name: part[name].values.tolist() for name in parameters_of(part)}
        found = {str(name): values.values.tolist() for name, values in part.data_vars.items()}
        return [
            {"setting": {name: values[at] for name, values in parameters.items()}}
            | {name: values[at] for name, values in found.items()}
            for at in range(part.sizes[SETTING])
        ]

    def _batch(self) -> list[dict[str, Any]] | None:
        """The suggested settings, best first, as plain Python."""
        if self.suggestion is None:
            return None
        number = self.dataset["suggested"].values
        places = np.argsort(number, kind="stable")[-len(self.suggestion.places) :]
        found = zip(
            places.tolist(),
            self.suggestion.adds.tolist(),
            self.suggestion.deviation.T.tolist(),
            self.suggestion.likely.tolist(),
            strict=True,
        )
        return [
            self._rows(at, at + 1)[0]
            | {"adds": adds, "unknown": unknown, "success_probability": likely}
            for at, adds, unknown, likely in found
        ]

    def _suggested(self) -> list[str]:
        """What to run next, a line each."""
        batch = self._batch()
        if self.suggestion is None or batch is None:
            return []
        varying, explore = self._varying(), self.suggestion.asked.explore
        coords, goals = self.dataset.coords, self.objective.goals
        what = (
            "where least is known, given" if explore else "a batch; adds: what is expected beyond"
        )
        heads = ["next", *(name + _bracketed(coords[name].attrs) for name in varying)]
        heads += ["objective ± unknown"] * (len(goals) == 1)
        heads += ["still unknown" if explore else "adds", "P(success)", "domain"]
        rows = [heads]
        for row in batch:
            cells = [str(row["suggested"]), *(cell(row["setting"][name]) for name in varying)]
            if len(goals) == 1:
                cells.append(f"{row['expected_objective']:.4g} ± {row['unknown'][0]:<7.2g}")
            rows.append(
                [*cells, f"{row['adds']:.2g}", f"{row['success_probability']:.2f}", row["domain"]]
            )
        return [f"run next ({what} those above it):", *_aligned(rows), *self.suggestion.remarks]

    def _varying(self) -> list[str]:
        found = self.dataset
        return [name for name in parameters_of(found) if (found[name] != found[name][0]).any()]

    def _constants(self) -> str:
        varying, found = self._varying(), self.dataset
        return ", ".join(
            f"{name} = {cell(found[name].values[0])}{_unit(found[name].attrs)}"
            for name in parameters_of(found)
            if name not in varying
        )

    def _table(self, start: int, stop: int) -> list[str]:
        """Settings `start` to `stop`, a line each."""
        if start == stop:
            return []
        coords = self.dataset.coords
        varying = self._varying()
        goals, require = self.objective.goals, self.objective.require
        heads = ["rank", *(name + _bracketed(coords[name].attrs) for name in varying)]
        for goal in goals:
            name = "objective" if len(goals) == 1 else goal.text
            unit = _bracketed({"units": goal.expression.units or "1"})
            heads += [f"{name}{unit} ± ignorance", "noise"]
        heads += ["P(front)"] * ("front_probability" in self.dataset)
        heads += ["P(require)"] * bool(require) + ["domain"]
        rows = [heads]
        for row in self._rows(start, stop):
            cells = [str(row["rank"] or "-"), *(cell(row["setting"][name]) for name in varying)]
            for number in range(len(goals)):
                expected, ignorance, most, noise = (
                    row[key][number] if len(goals) > 1 else row[key] for key in _GOAL_CELLS
                )
                spread = f"± {ignorance:.2g}" if ignorance else f"± < {most:.2g}"
                cells += [f"{expected:.4g} {spread:<9}", f"{noise:.2g}"]
            if "front_probability" in row:
                cells.append(f"{row['front_probability']:.2f}")
            if require:
                chance, error = row["require_probability"], row["require_probability_error"]
                cells.append(f"{chance:.2f} ± {math.ceil(100 * error) / 100:.2f}")
            rows.append([*cells, row["domain"]])
        return _aligned(rows)

    def _remarks(self) -> list[str]:
        """How to read the table, and how far its order can be trusted."""
        if not self.ranked:
            return ["no setting lies inside the training data or at its edge: none is ranked"]
        found, remarks = self.dataset.isel({SETTING: slice(0, self.ranked)}), []
        contenders = np.ones(self.ranked, bool)
        if self.objective.require:
            likely = found["require_probability"].values >= LIKELY
            contenders = likely if likely.any() else contenders
            remarks.append(
                f"{likely.sum():,} of {self.ranked:,} ranked settings meet what is required in at "
                f"least {LIKELY:.0%} of trials; they come first"
            )
        if self.objective.goals:
            remarks.append(
                "noise: sd between trials; ignorance: sd between members' means beyond noise "
                "(<: lost in it, at most this in 95 of 100 cases; more trials tell)"
            )
        if len(self.objective.goals) == 1:
            low, high = (found[f"objective_{end}"].values for end in ("low", "high"))
            level = int(((low <= high[0]) & (high >= low[0]) & contenders).sum()) - 1
            if level:
                remarks.append(
                    f"the order is not sure: the 90 % intervals of {level:,} more settings overlap "
                    "that of rank 1"
                )
        return remarks


def _unit(attrs: Mapping[Any, Any]) -> str:
    unit = attrs.get("units", "1")
    return "" if unit == "1" else f" {unit}"


def _bracketed(attrs: Mapping[Any, Any]) -> str:
    unit = attrs.get("units", "1")
    return "" if unit == "1" else f" [{unit}]"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns to the right, the last one to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([*map(str.rjust, row[:-1], widths[:-1]), row[-1]]) for row in rows]
