"""How a backtest went, step by step: as CSV, as a table, and what can be said of it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from virtlab.config import read_text
from virtlab.errors import ConfigError
from virtlab.screening.numerals import cell
from virtlab.screening.output import CSV, check_place

MOST_BYTES = 2**26
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Step:
    """One batch of one policy.

    Parameters
    ----------
    seed, policy, round
        Which; round 0 is the random start.
    settings, trials
        How many are known after it.
    best
        Goal of the best setting known: the mean over its trials. NaN where none meets what is
        required.
    regret
        What it is short of the best that the lab has.
    chosen
        Settings added, by their number in the lab's files.
    """

    seed: int
    policy: str
    round: int
    settings: int
    trials: int
    best: float
    regret: float
    chosen: tuple[int, ...]


@dataclass(frozen=True)
class Course:
    """A backtest.

    Parameters
    ----------
    steps
        In the order in which they were played.
    goal
        What was sought, in words.
    winner
        Goal of the lab's best setting.
    size
        How many settings the lab has.
    game
        How it was played, in words.
    data
        sha256 of the lab's trials.
    """

    steps: tuple[Step, ...]
    goal: str
    winner: float
    size: int
    game: str
    data: str

    @property
    def policies(self) -> list[str]:
        """In the order in which they were played."""
        return list(dict.fromkeys(step.policy for step in self.steps))

    @property
    def seeds(self) -> list[int]:
        """Those that every policy has played as far as any."""
        rounds = max((step.round for step in self.steps), default=0)
        done = {(step.seed, step.policy) for step in self.steps if step.round == rounds}
        found = sorted({step.seed for step in self.steps})
        return [seed for seed in found if all((seed, policy) in done for policy in self.policies)]

    def values(self, policy: str, name: str) -> NDArray[np.float64]:
        """``best`` or ``regret`` of whole seeds, ``(seed, round)``."""
        rounds = range(max(step.round for step in self.steps) + 1)
        found = {
            (step.seed, step.round): getattr(step, name)
            for step in self.steps
            if step.policy == policy
        }
        return np.array([[found[seed, each] for each in rounds] for seed in self.seeds], np.float64)

    def known(self) -> list[int]:
        """Settings known after each round."""
        counts = {step.round: step.settings for step in self.steps}
        return [counts[each] for each in sorted(counts)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "objective": self.goal,
            "winner": self.winner,
            "settings": self.size,
            "game": self.game,
            "seeds": self.seeds,
            "quartiles": {
                policy: {
                    name: np.nanquantile(self.values(policy, name), QUARTILES, axis=0).T.tolist()
                    for name in ("best", "regret")
                }
                for policy in self.policies
                if self.seeds
            },
            "steps": [asdict(step) for step in self.steps],
        }

    def lines(self) -> list[str]:
        """For the terminal: medians and quartiles by settings known."""
        seeds = self.seeds
        lines = [
            f"{self.goal}: {self.size:,} settings, the best has {cell(self.winner)}; {self.game}; "
            f"{len(seeds)} seeds"
        ]
        if not seeds:
            return [*lines, "no seed has been played to its end by every policy"]
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  ".join(map(str.rjust, row, widths)) for row in rows]
        lines.append("median over seeds [quartiles]; regret: what the best known is short of")
        return lines + [self._winners(policy) for policy in self.policies]

    def rows(self) -> list[list[str]]:
        """A head, and a row for each number of settings known; none without whole seeds."""
        if not self.seeds:
            return []
        heads = ["settings known", *(f"{policy}: best, regret" for policy in self.policies)]
        told = [[f"{count:,}" for count in self.known()], *map(self._told, self.policies)]
        return [heads, *map(list, zip(*told, strict=True))]

    def _told(self, policy: str) -> list[str]:
        best = np.nanmedian(self.values(policy, "best"), axis=0)
        low, middle, high = np.nanquantile(self.values(policy, "regret"), QUARTILES, axis=0)
        return [
            f"{cell(b, 4)}, {cell(m, 3)} [{cell(lo, 3)}, {cell(hi, 3)}]"
            for b, lo, m, hi in zip(best, low, middle, high, strict=True)
        ]

    def _winners(self, policy: str) -> str:
        regret = self.values(policy, "regret")
        won = int((regret[:, -1] <= 1e-9 * max(abs(self.winner), 1)).sum())
        return f"{policy}: the lab's best setting was found in {won} of {len(regret)} seeds"


def csv_text(course: Course) -> str:
    """A line per step; what was played stands in each."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_SAME])
    same = [getattr(course, name) for name in _SAME]
    for step in course.steps:
        values = asdict(step) | {"chosen": " ".join(map(str, step.chosen))}
        writer.writerow([*(values[name] for name in _COLUMNS), *same])
    return file.getvalue()


def read_steps(path: Path, course: Course) -> tuple[Step, ...]:
    """Steps of an earlier run of the same backtest.

    Raises
    ------
    ConfigError
        The file is none, or of another backtest.
    """
    rows = list(csv.DictReader(io.StringIO(read_text(path, MOST_BYTES), newline="")))
    try:
        for name in _SAME:
            if other := {row[name] for row in rows} - {str(getattr(course, name))}:
                raise ConfigError(
                    f"{path}: is of another backtest: {name} is {other.pop()!r} there and "
                    f"{str(getattr(course, name))!r} now; choose another output"
                )
        return tuple(_step(row) for row in rows)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: is no backtest ({error}); choose another output") from error


def check_course(path: Path, *, force: bool = False) -> None:
    """Refuse a file of steps that cannot be written, before they are played.

    Raises
    ------
    ConfigError, OutputError
        Its name does not end in .csv; or see `virtlab.screening.output.check_place`.
    """
    if path.suffix != CSV:
        raise ConfigError(
            f"output {str(path)!r}: expected a name that ends in {CSV}, "
            f"found {path.suffix or 'no suffix'!r}"
        )
    ways = "--resume to go on with it, or --force to replace it"
    check_place(path, "backtest", _is_course, force=force, ways=ways)


def _is_course(path: Path) -> bool:
    """Whether a file is a CSV that `csv_text` made."""
    with path.open("rb") as file:
        return file.readline(2**12) == ",".join([*_COLUMNS, *_SAME]).encode() + b"\n"


def _step(row: dict[str, str]) -> Step:
    return Step(
        seed=int(row["seed"]),
        policy=row["policy"],
        round=int(row["round"]),
        settings=int(row["settings"]),
        trials=int(row["trials"]),
        best=float(row["best"]),
        regret=float(row["regret"]),
        chosen=tuple(map(int, row["chosen"].split())),
    )


_COLUMNS = tuple(field.name for field in fields(Step))
_SAME = ("goal", "winner", "size", "game", "data")
