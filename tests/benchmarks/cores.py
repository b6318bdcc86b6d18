"""Which core of the generator suits how much data: width, depth, processes, bins.

    python tests/benchmarks/cores.py OUT.json [--sets concrete,direct_arylation] [--trials 150,350]
        [--cores 128x3,128x3+processes,128x3+bins,128x3+processes+bins] [--seed 0]

Each core is trained by likelihood alone on one measurement of a real lab set, whole or cut to some
trials, and judged by the CRPS of draws from members that never saw a trial's setting, in standard
deviations; the seconds are of the processor. Public test splits are not touched: sets that have
some (``/splits/0``) give their training rows only. Needs ``../shared/data`` beside the project.
Adds each result to OUT.json as it comes, and skips what is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import virtlab
from virtlab.gan import fit as fitting

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MOST = 2000  # trials

Columns = dict[str, np.ndarray]


@contextmanager
def core(name: str) -> Iterator[None]:
    """Train nothing but the core, of a size such as ``128x3`` or ``64x2+processes``."""
    size, *more = name.split("+")
    width, depth = map(int, size.split("x"))
    sizes_for, generator_for = fitting.sizes_for, fitting.generator_for
    alternatives = fitting.alternatives

    def generator(blocks: Any, preset: str, **how: Any) -> Any:
        made = generator_for(blocks, preset, **how | {"bins": "bins" in more})
        # One process per feature: the sets here measure scalars.
        processes = tuple(range(blocks.layout.features)) if "processes" in more else ()
        return replace(made, width=width, depth=depth, processes=processes)

    fitting.sizes_for = lambda *given: replace(sizes_for(*given), game_steps=0)
    fitting.generator_for = generator
    fitting.alternatives = lambda made: [made]
    try:
        yield
    finally:
        fitting.sizes_for, fitting.generator_for = sizes_for, generator_for
        fitting.alternatives = alternatives


def read_lab(name: str) -> tuple[Columns, np.ndarray]:
    """Parameters and measurements of a set by path, and its training rows."""
    with h5py.File(DATA / name / f"{name}.h5") as file:
        columns = {
            f"{kind}/{key}": values[:]
            for kind in ("parameters", "measurements")
            for key, values in file[kind].items()
        }
        count = len(next(iter(columns.values())))
        return columns, file["splits/0/train"][:] if "splits" in file else np.arange(count)


def write_lab(name: str, columns: Columns, rows: np.ndarray, folder: Path) -> Path:
    """Write some rows as a lab; returns experiment.toml's path."""
    with h5py.File(folder / "lab.h5", "w") as file:
        for path, values in columns.items():
            file[path] = values[rows]
    tables = "".join(f'[{path.replace("/", ".")}]\npath = "{path}"\n' for path in columns)
    experiment = folder / "experiment.toml"
    experiment.write_text(f'[experiment]\nname = "{name}"\n[data]\nfiles = ["lab.h5"]\n{tables}')
    return experiment


def score(name: str, trials: int | None, which: str, seed: int) -> dict[str, float]:
    """Train one core on one set; mean CRPS over its measurements, in standard deviations."""
    columns, rows = read_lab(name)
    keep = min(trials or MOST, MOST, len(rows))
    rows = np.sort(np.random.default_rng(0).choice(rows, keep, replace=False))
    with tempfile.TemporaryDirectory() as folder, core(which):
        experiment = write_lab(name, columns, rows, Path(folder))
        lab, start = virtlab.open_trials(experiment), time.process_time()
        model = virtlab.train(experiment, output=Path(folder) / "m.virtlab", seed=seed)
        crps = [found["model"] / float(lab[key].std()) for key, found in model.scores.items()]
    return {"crps": float(np.mean(crps)), "cpu_s": time.process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", default="concrete,energy,crossed_barrel,direct_arylation")
    parser.add_argument("--trials", default="", help="cut to so many; the whole set comes first")
    parser.add_argument("--cores", default="128x3,128x3+processes,128x3+bins,128x3+processes+bins")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    cores, cuts = args.cores.split(","), [None, *map(int, filter(None, args.trials.split(",")))]
    for name in args.sets.split(","):
        for trials in cuts:
            for which in cores:
                key = f"{name}|{trials or 'all'}|{which}|{args.seed}"
                if key not in results:
                    results[key] = score(name, trials, which, args.seed)
                    args.out.write_text(json.dumps(results, indent=1))
                print(
                    f"{key:50} {results[key]['crps']:.4f} {results[key]['cpu_s']:.0f} s", flush=True
                )


if __name__ == "__main__":
    main()
