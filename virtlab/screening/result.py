"""A screen's result: one dataset; the terminal's lines and JSON are views of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.screening.dataset import parameters_of
from virtlab.screening.numerals import alike, cell
from virtlab.screening.objective import Objective
from virtlab.screening.remarks import legend, remarks
from virtlab.screening.suggestion import Suggestion
from virtlab.screening.table import (
    WIDEST,
    Column,
    bracketed,
    columns,
    constants,
    lines_of,
    varying,
    wrapped,
)
from virtlab.trials import SETTING

if TYPE_CHECKING:
    import xarray as xr

TOP = 10


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
    outputs
        Where it was written.
    suggestion
        What to run next, if that was asked for.
    """

    dataset: xr.Dataset
    objective: Objective
    outputs: tuple[Path, ...] = ()
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
            "outputs": [str(path) for path in self.outputs],
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

    def lines(self, width: int = WIDEST) -> list[str]:
        """For the terminal: the best, and apart from them what lies outside the data.

        Parameters
        ----------
        width
            Characters in a line.
        """
        found = self.dataset
        attrs, size = found.attrs, found.sizes[SETTING]
        many = "settings" if size != 1 else "setting"
        said = [
            f"{attrs['objective']}: {size:,} {many}, {attrs['trials_per_setting']:,} virtual "
            f"trials at each, {attrs['members']} members, seed {attrs['seed']}"
        ]
        if constant := constants(found):
            said.append(f"at {constant}")
        lines = _wrapped(said, width)
        if self.ranked:
            lines += lines_of(columns(found, slice(0, min(TOP, self.ranked))), width=width)
        if self.ranked > TOP:
            lines.append(f"… and {self.ranked - TOP:,} more")
        lines += _wrapped([*remarks(found), *legend(found)], width)
        if apart := size - self.ranked:
            lines += wrapped(
                f"not ranked: {apart:,} of {size:,} settings lie outside the training data, where "
                "the model guesses; nearest first:",
                width,
            )
            end = self.ranked + min(TOP, apart)
            lines += lines_of(columns(found, slice(self.ranked, end)), width=width)
            lines += [f"… and {apart - TOP:,} more"] * (apart > TOP)
        lines += self._suggested(width)
        lines += _wrapped([f"trust: {said}" for said in attrs["trust"].splitlines()], width)
        return lines + [f"written to {path}" for path in self.outputs]

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

    def _suggested(self, width: int) -> list[str]:
        """What to run next, a line each."""
        batch = self._batch()
        if self.suggestion is None or batch is None:
            return []
        explore = self.suggestion.asked.explore
        what = (
            "where least is known, given" if explore else "a batch; adds: what is expected beyond"
        )
        found = self.dataset
        table = [Column("next", [str(row["suggested"]) for row in batch])]
        for name in varying(found):
            cells = [cell(row["setting"][name]) for row in batch]
            table.append(Column(name + bracketed(found[name].attrs), cells))
        if len(self.objective.goals) == 1:
            unknown = [row["unknown"][0] for row in batch]
            step = float(np.median(unknown))
            means = alike([row["expected_objective"] for row in batch], step)
            off = [f"{m} ± {own}" for m, own in zip(means, alike(unknown, step), strict=True)]
            table.append(Column("objective ± unknown", off))
        adds = [row["adds"] for row in batch]
        table += [
            Column("still unknown" if explore else "adds", alike(adds, float(np.median(adds)))),
            Column("P(success)", [f"{row['success_probability']:.2f}" for row in batch]),
            Column("domain", [row["domain"] for row in batch]),
        ]
        laid_out = lines_of(table, width=width)
        said = _wrapped(self.suggestion.remarks, width)
        return [*wrapped(f"run next ({what} those above it):", width), *laid_out, *said]


def _wrapped(sentences: Sequence[str], width: int) -> list[str]:
    return [line for said in sentences for line in wrapped(said, width)]
