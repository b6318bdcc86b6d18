"""A replication plan: power by trials per arm, as lines, JSON, CSV and a dataset."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from virtlab.finite import finite
from virtlab.modelfile import replace_whole
from virtlab.screening.numerals import cell
from virtlab.screening.output import CSV, JSON, VIRTUAL, check_file
from virtlab.storage import output as datasets

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]

PESSIMIST = 0.1
"""Share of the members whose power may be lower than a careful plan's."""
COLUMNS = ("trials", "power", "power_low", "power_high", "power_careful", VIRTUAL)
OWN = b'{"virtual_data": 1, "statistic": '
"""How a plan as JSON begins."""


@dataclass(frozen=True)
class Point:
    """The power that a number of trials has.

    Parameters
    ----------
    trials
        Per arm.
    power
        Share of the studies that find the difference, with the right sign.
    low, high
        Interval of that share: the studies are a sample.
    by_member
        The same where each member is right, ``(member,)``.
    """

    trials: int
    power: float
    low: float
    high: float
    by_member: Floats

    @property
    def careful(self) -> float:
        """Power that all but a tenth of the members promise."""
        return float(np.quantile(self.by_member, PESSIMIST))


@dataclass(frozen=True)
class Power:
    """A plan.

    Parameters
    ----------
    what
        The statistic and what it is of, in words.
    settings
        The two arms, in words, each with where it lies to the data.
    effect
        Difference of the statistic, second less first, by member, ``(member,)``; each with its
        share of `shared`.
    values
        The statistic in each arm, by member, ``(arm, member)``.
    shared
        Standard deviation of what all members may miss of the difference, beyond their
        disagreement; 0: not known, or none of a spread.
    alpha, wanted
        Share of false alarms, and the power that is wanted.
    curve
        Power by trials per arm.
    trials
        The least that have the power wanted; None: more than were tried.
    careful
        The least that have it whichever member is right, but for a tenth of them.
    attrs
        Where it comes from.
    """

    what: str
    settings: tuple[str, str]
    effect: Floats
    values: Floats
    shared: float
    alpha: float
    wanted: float
    curve: tuple[Point, ...]
    trials: int | None
    careful: int | None
    attrs: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "statistic": self.what,
            "settings": list(self.settings),
            "effect": {
                "mean": float(self.effect.mean()),
                "by_member": self.effect.tolist(),
                "shared": self.shared,
            },
            "values": self.values.mean(axis=1).tolist(),
            "alpha": self.alpha,
            "power": self.wanted,
            "trials_per_arm": self.trials,
            "trials_per_arm_careful": self.careful,
            "curve": [
                {
                    "trials": point.trials,
                    "power": point.power,
                    "interval": [point.low, point.high],
                    "by_member": point.by_member.tolist(),
                }
                for point in self.curve
            ],
        }

    def lines(self) -> list[str]:
        """For the terminal."""
        low, high = np.quantile(self.effect, [PESSIMIST, 1 - PESSIMIST])
        first, second = self.values.mean(axis=1)
        lines = [
            f"{self.what}: {cell(first)} at {self.settings[0]}",
            f"{' ' * len(self.what)}  {cell(second)} at {self.settings[1]}",
            f"difference: {cell(self.effect.mean(), 4)}; members say {cell(low, 4)} to "
            f"{cell(high, 4)} (all but a tenth at each end), "
            + (
                f"what all of them may miss included ({cell(self.shared, 2)})"
                if self.shared
                else "without what all of them may miss, which is not known"
            ),
            f"power of a permutation test, {self.alpha:g} false alarms, by trials per arm:",
            "trials  power  90 % interval  by member, lowest to highest",
        ]
        lines += [
            f"{point.trials:6d}  {point.power:5.2f}  {point.low:4.2f} to {point.high:4.2f}   "
            f"{point.by_member.min():.2f} to {point.by_member.max():.2f}"
            for point in self.curve
        ]
        most = self.curve[-1].trials
        enough = f"more than {most:,}" if self.trials is None else f"{self.trials:,}"
        sure = f"more than {most:,}" if self.careful is None else f"{self.careful:,}"
        lines += [
            f"trials per arm for a power of {self.wanted:.0%}: {enough}",
            f"the same, were the truth what any but the least sure tenth of members says: {sure}",
        ]
        if low < 0 < high:
            lines.append(
                "the members do not agree which setting has more: whether there is a difference is "
                "unknown, and no number of trials is safe"
            )
        return lines

    def dataset(self) -> xr.Dataset:
        """Dims ``trials`` (per arm) and ``member``; ``virtual_data`` among its attrs is 1."""
        import xarray as xr

        said = {
            "trials": ("trials per arm", [point.trials for point in self.curve]),
            "power": (
                "share of studies that find the difference",
                [point.power for point in self.curve],
            ),
            "power_low": (
                "lower end of its 90 % interval, of the simulation alone",
                [point.low for point in self.curve],
            ),
            "power_high": ("upper end of it", [point.high for point in self.curve]),
            "power_careful": (
                "power that all but a tenth of the members promise",
                [point.careful for point in self.curve],
            ),
        }
        data: dict[str, Any] = {
            name: ("trials", np.array(values), {"long_name": text, "units": "1"})
            for name, (text, values) in said.items()
        }
        coords = {"trials": data.pop("trials")}
        data["power_by_member"] = (
            ("trials", "member"),
            np.array([point.by_member for point in self.curve]),
            {"long_name": "power where each member is right", "units": "1"},
        )
        data["effect_by_member"] = (
            "member",
            self.effect,
            {"long_name": "difference of the statistic, second setting less first"},
        )
        about = {key: value for key, value in self.to_dict().items() if key != "curve"}
        return xr.Dataset(data, coords, self.attrs | {"plan": json.dumps(finite(about))})


def check_plan(path: Path, *, force: bool = False) -> None:
    """Refuse an output that cannot be written, before the work that fills it is done.

    Raises
    ------
    ConfigError, OutputError
        The suffix names no format, or something else is there.
    """
    check_file(path, "plan", _is_plan, force=force)


def write_plan(plan: Power, path: Path, *, force: bool = False) -> None:
    """Write a plan whole or not at all, in the format that the suffix names; see `check_plan`."""
    check_plan(path, force=force)
    if path.suffix == CSV:
        replace_whole(path, _csv_text(plan).encode())
    elif path.suffix == JSON:
        text = json.dumps(finite({VIRTUAL: 1} | plan.to_dict()), allow_nan=False)
        replace_whole(path, f"{text}\n".encode())
    else:
        datasets.write_virtual_trials(plan.dataset(), path, force=force)


def _csv_text(plan: Power) -> str:
    """A line per number of trials."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in plan.curve:
        writer.writerow([point.trials, point.power, point.low, point.high, point.careful, 1])
    return file.getvalue()


def _is_plan(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.readline(2**12)
    return (
        start.startswith(OWN) if path.suffix == JSON else start == f"{','.join(COLUMNS)}\n".encode()
    )
