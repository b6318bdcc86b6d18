"""Is what a model says of itself true at settings that no part of it ever saw?

    python tests/benchmarks/unseen.py OUT.json [--sets concrete,energy] [--trials 60,150,all]
        [--draws 0,1] [--seed 0]

A real lab set is cut to some settings, drawn at random; `train` learns from their trials, and 400
other settings are held against what it draws there: CRPS in standard deviations, and the share of
trials inside the central 50 and 90 % intervals, each beside what `train` said of itself (`told`).
Public test splits are not touched: sets that have some (``/splits/0``) give their training rows
only. Needs ``../shared/data`` beside the project. Adds each result to
OUT.json as it comes, and skips what is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from cores import Columns, read_lab, write_lab

import virtlab
from virtlab import scores
from virtlab.design import Design

MOST = 2000  # trials, learned from and not
UNSEEN = 400  # settings
DRAWS = 200


def read(name: str) -> tuple[Columns, np.ndarray]:
    """Parameters and measurements by path, and the setting of each trial."""
    columns, rows = read_lab(name)
    rows = np.sort(np.random.default_rng(5).permutation(np.sort(rows))[:MOST])
    columns = {path: values[rows] for path, values in columns.items()}
    parameters = [values.astype(str) for path, values in columns.items() if path[0] == "p"]
    setting = np.unique(np.stack(parameters, axis=1), axis=0, return_inverse=True)[1]
    return columns, setting.ravel()


def split(setting: np.ndarray, trials: str, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Which trials are learned from, and which are not: a tenth of the settings, or 400."""
    count = setting.max() + 1
    order = np.random.default_rng(1000 + draw).permutation(count)
    known = count - count // 10
    if trials != "all":
        known = min(known, int(int(trials) * count / len(setting)))
    return np.isin(setting, order[:known]), np.isin(setting, order[known : known + UNSEEN])


def score(name: str, trials: str, draw: int, seed: int) -> dict[str, float | str]:
    """Train on one draw of settings, and judge at others."""
    columns, setting = read(name)
    known, unseen = split(setting, trials, draw)
    with tempfile.TemporaryDirectory() as folder:
        experiment = write_lab(name, columns, np.flatnonzero(known), Path(folder))
        start = time.perf_counter()
        model = virtlab.train(experiment, output=Path(folder) / "m.virtlab", seed=seed)
        seconds = time.perf_counter() - start
        _, first, where = np.unique(setting[unseen], return_index=True, return_inverse=True)
        once = np.flatnonzero(unseen)[first]
        settings = {p.name: columns[f"parameters/{p.name}"][once] for p in model.parameters}
        for own, values in settings.items():
            if values.dtype.kind in "SO":
                settings[own] = np.array([v.decode() for v in values], object)
            else:
                settings[own] = values.astype(float)
        virtual = model.simulate(Design(settings), trials=DRAWS, seed=seed)
        found = [of(model, virtual, m, columns, known, unseen, where) for m in model.scores]
    mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    return mean | {"seconds": seconds, "stage": model.manifest["training"]["stage"]}


def of(
    model: virtlab.Model,
    virtual: object,
    measurement: str,
    columns: Columns,
    known: np.ndarray,
    unseen: np.ndarray,
    where: np.ndarray,
) -> dict[str, float]:
    """One measurement's scores, and what the model said."""
    values = columns[f"measurements/{measurement}"].astype(float)
    deviation, told = values[known].std(), model.scores[measurement]
    drawn = virtual[measurement].transpose("trial", "setting").values[:, where, None]
    real = values[unseen][:, None]
    rank = scores.ranks(drawn, real, np.random.default_rng(0))
    return {
        "crps": scores.energy_scores(drawn, real).mean() / deviation,
        "told crps": told["model"] / deviation,
        "50 %": scores.coverage(rank, 0.5),
        "told 50 %": told["coverage_50"],
        "90 %": scores.coverage(rank, 0.9),
        "told 90 %": told["coverage_90"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    sets = "concrete,energy,power_plant,crossed_barrel,direct_arylation"
    parser.add_argument("--sets", default=sets)
    parser.add_argument("--trials", default="60,150", help="or all")
    parser.add_argument("--draws", default="0,1")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    wanted = [
        (name, trials, int(draw))
        for trials in args.trials.split(",")
        for name in args.sets.split(",")
        for draw in args.draws.split(",")
    ]
    for name, trials, draw in wanted:
        key = f"{name}|{trials}|{draw}|{args.seed}"
        if key not in results:
            results[key] = score(name, trials, draw, args.seed)
            args.out.write_text(json.dumps(results, indent=1))
        cells = {k: round(v, 3) if isinstance(v, float) else v for k, v in results[key].items()}
        print(f"{key:32}", cells, flush=True)


if __name__ == "__main__":
    main()
