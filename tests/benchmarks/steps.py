"""How many steps training takes in a second, compiled by XLA and not, and what they are spent on.

    python tests/benchmarks/steps.py [--tasks bimodal,slcp,spectrum,shower] [--xla all]

For each task of the benchmark (`../shared/bench` beside the project, or --bench FOLDER) and each
stage: milliseconds per step, median of five runs, as TensorFlow runs its kernels one by one and as
XLA compiles them, with the seconds until the second step is done; and the share of the time that
is not spent in matrix products: what a step would be left with if its multiply-adds took as long
as they do in one large product on all cores, measured in the same run. With convolutions, XLA is
not tried unless --xla is `all`.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from throughput import matrix_rate

import virtlab
from virtlab.gan import attempt, games, stages

RUNS = 5
many_steps = stages.many_steps
PRODUCTS = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}


class Measured(Exception):
    """All stages were measured: there is nothing to train."""


def multiply_adds(step_loss: Any, batches: stages.Minibatches) -> float:
    """Of the matrix products in one step."""
    one = tf.function(lambda step: step_loss(step, batches.drawn(step, ())), autograph=False)
    total = 0.0
    for operation in one.get_concrete_function(tf.constant(0)).graph.get_operations():
        if turned := PRODUCTS.get(operation.type):
            inner = -2 if operation.get_attr(turned) else -1
            total += math.prod(operation.outputs[0].shape) * operation.inputs[0].shape[inner]
    return total


def seconds(advance: stages.Advance, steps: int) -> tuple[float, float]:
    """Until the second step is done, and of a step later on."""
    start, taken = time.perf_counter(), []
    advance(tf.constant(0), tf.constant(2))
    first = time.perf_counter() - start
    for run in range(RUNS):
        start = time.perf_counter()
        advance(tf.constant(2 + run * steps), tf.constant(steps))
        taken.append((time.perf_counter() - start) / steps)
    return first, float(np.median(taken))


def measured(task: str, every: bool) -> Any:
    """A stand-in for `many_steps` that measures what it is given."""
    rate = matrix_rate()

    def stand_in(step_loss: Any, batches: Any, *more: Any, compiled: bool = False) -> Any:
        stage = "refinement" if more else "likelihood"
        pure = multiply_adds(step_loss, batches) / rate
        for xla in (False, True) if batches.compiles or every else (False,):
            first, each = seconds(
                many_steps(step_loss, batches, *more, compiled=xla), 100 if pure < 1e-3 else 20
            )
            print(
                f"{task:10} {stage:10} {'XLA' if xla else 'kernels':8} {1e3 * each:8.2f} "
                f"{1 / each:8.0f} {first:8.1f} {1 - pure / each:8.0%}",
                flush=True,
            )
        return many_steps(step_loss, batches, *more, compiled=compiled)

    return stand_in


def stopped(*_: Any) -> None:
    """Training ends before it begins."""
    raise Measured


def main() -> None:
    """Measure every task."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="bimodal,slcp,spectrum,shower")
    parser.add_argument("--xla", choices=["plain", "all"], default="plain")
    beside = Path(__file__).resolve().parents[3] / "shared" / "bench"
    parser.add_argument("--bench", type=Path, default=beside)
    asked = parser.parse_args()
    sys.path.insert(0, str(asked.bench))
    bench = importlib.import_module("run")

    class InProcess(bench.Virtlab):  # type: ignore[misc,name-defined]
        def _run(self, *_: str) -> float:
            virtlab.train(self.folder / "experiment.toml", output=self.folder / "m.virtlab")
            raise AssertionError("measured before")

    bench.Virtlab = InProcess
    attempt.Attempt.run = stopped  # type: ignore[assignment]
    print("task       stage      run          ms/step  steps/s  first s  outside products")
    for task in asked.tasks.split(","):
        stages.many_steps = games.many_steps = measured(task, asked.xla == "all")
        with tempfile.TemporaryDirectory() as folder:
            try:
                bench.known(bench.TASKS[task], "auto", Path(folder))
            except Measured:
                continue


if __name__ == "__main__":
    main()
