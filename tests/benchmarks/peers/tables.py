"""Results as Markdown tables: peers down, tasks across, median and range over training seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

KNOWN = {
    "ned": ("Normalised energy distance (0 perfect, 1 as bad as ignoring the parameters)", 3),
    "c2st": ("Two-sample AUC (0.5: indistinguishable)", 3),
    "mean_c2st": ("Two-sample AUC, mean over other rows (see ../apart.py)", 3),
    "cov90": ("Coverage error of central 90 % intervals", 3),
    "fit_cpu_s": ("Processor seconds to fit", 0),
    "steps": ("Steps kept; * where the last still improved, or the package cannot stop", 0),
}
REAL = {
    "crps": ("Real sets: CRPS in standard deviations, median and range over splits", 3),
    "cov90": ("Real sets: coverage of central 90 % intervals", 3),
    "fit_cpu_s": ("Real sets: processor seconds to fit", 0),
    "steps": ("Real sets: steps kept", 0),
}


def print_tables(results: dict[str, dict], peers: list[str], tasks: list[str]) -> None:
    """All tables for which there are results, keyed ``task|peer|seed``."""
    real = sorted({key.split("|")[0] for key in results if key.startswith("real:")})
    known = [task for task in tasks if any(key.startswith(f"{task}|") for key in results)]
    for columns, figures in ((known, KNOWN), (real, REAL)):
        for figure, (title, digits) in figures.items() if columns else ():
            print(f"\n**{title}**\n")
            print("| | " + " | ".join(name.removeprefix("real:") for name in columns) + " |")
            print("|---" * (len(columns) + 1) + "|")
            for peer in peers:
                cells = [cell(results, column, peer, figure, digits) for column in columns]
                if any(cells):
                    print(f"| {peer} | " + " | ".join(cells) + " |")


def cell(results: dict[str, dict], column: str, peer: str, figure: str, digits: int) -> str:
    """``median (least-most)``, with the number of seeds where these are not three."""
    found = [r for key, r in results.items() if key.startswith(f"{column}|{peer}|")]
    if not found:
        return ""
    values = [r[figure] for r in found]
    show: Callable[[float], str] = lambda value: f"{value:,.{digits}f}"  # noqa: E731
    text = show(float(np.median(values)))
    if show(min(values)) != show(max(values)):
        text += f" ({show(min(values))} to {show(max(values))})"
    if figure == "steps" and any(r["capped"] for r in found):
        text += " *"
    return text if len(found) == 3 else f"{text} [{len(found)}]"
