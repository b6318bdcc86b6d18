"""Would virtlab's screen have found the winner sooner? Played on real laboratory sets.

    python tests/benchmarks/backtests.py OUT [NAME …]

Seed by seed, one set after the other: 3 batches of 10 settings after a random start, virtlab
against a Gaussian process with expected improvement and against chance. OUT gets ``NAME.csv``,
step by step, and ``NAME.svg``; what is there already is gone on with, so that a run that was
stopped counts. The sets lie in ``../shared/data`` beside the project; they are no part of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from real_sets import DATA, EXPERIMENTS

from virtlab.config import read_experiment, read_params
from virtlab.progress import Progress
from virtlab.report import draw_course
from virtlab.screening import Game, backtest
from virtlab.screening.course import Course

SETS = {"crossed_barrel": ("toughness", 20), "direct_arylation": ("yield", 30)}
SEEDS = range(5)


def play(name: str, seed: int, folder: Path) -> Course:
    """One seed of one set, beside those that were played before."""
    goal, start = SETS[name]
    experiment, params = folder / f"{name}.toml", folder / f"{name}_params.toml"
    text = f'[experiment]\nname = "{name}"\n' + EXPERIMENTS[name].format(data=DATA)
    experiment.write_text(text)
    params.write_text(f'model = "none.virtlab"\n[objective]\nmaximize = "{goal}"\n')
    game = Game(start=start, batch=10, rounds=3, seeds=(seed,))

    def told(progress: Progress) -> None:
        print(f"{name}: {progress.message}", file=sys.stderr, flush=True)

    return backtest(
        read_experiment(experiment),
        read_params(params),
        game,
        output=folder / f"{name}.csv",
        resume=True,
        report=told,
    )


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for number in SEEDS:
        for each in sys.argv[2:] or SETS:
            course = play(each, number, out)
            draw_course(course, out / f"{each}.svg")
            print("\n".join(course.lines()), flush=True)
