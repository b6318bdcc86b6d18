"""How fast `virtlab simulate` is from latents to file, beside what limits it in the same run.

    python tests/benchmarks/throughput.py OUT MODEL … [--values 1e7 …] [--workers 1 2]

Each model is simulated at its middle setting and nine around it, as NetCDF and as Zarr, in
processes of their own. Beside values per second (of the clock, and of a core that was busy: other
work on the machine counts in the first alone) and peak memory stand two limits: multiply-adds of
the exported generator's trial part over the rate of a single-precision matrix product on all cores,
and the rate at which as many incompressible bytes as the file has reach the disk. The share is of
the nearer one. With `--workers`, Zarr is also written by so many processes: beside
their seconds stand those of a run of one trial per setting, which are start and end, and how many
times as fast it is as the first number of workers, with them and without. The last lines say where
the time of one thread goes, and how much of it are Gaussian numbers: none draws without them.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import math
import os
import pstats
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from virtlab.design import design_from
from virtlab.modelfile import GENERATOR
from virtlab.simulation import Model, load
from virtlab.simulation.drawing import Drawer

SETTINGS = 10
RUN = """
import resource, sys, time
from virtlab.cli import main
start = time.perf_counter()
try: main(["simulate", *sys.argv[1:], "-q", "--force"])
except SystemExit as done: assert not done.code, done.code
seconds = time.perf_counter() - start
who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
busy = sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))
status = open("/proc/self/status").read()  # ru_maxrss is the parent's, where that was larger
peak = int(status.split("VmHWM:")[1].split()[0])
print(seconds, busy, peak / 1e3)
"""


def matrix_rate(seconds: float = 2.0) -> float:
    """Multiply-adds per second of a single-precision matrix product on all cores.

    The mean over some seconds, as what it is compared with: other machines' guests come and go.
    """
    a = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    a @ a
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        a @ a
        done += len(a) ** 3
    return done / (time.perf_counter() - start)


def disk_rate(folder: Path, size: int) -> float:
    """Bytes per second of which so many reach the disk."""
    data, path = os.urandom(2**24), folder / "disk"
    start = time.perf_counter()
    with path.open("wb") as file:
        for at in range(0, size, len(data)):
            file.write(data[: size - at])
        file.flush()
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return size / seconds


def multiply_adds(model: Model) -> float:
    """Of the matrix products in the generator's trial part, per trial."""
    import tensorflow as tf

    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        content = model.file.member(GENERATOR)
        tf.lite.experimental.Analyzer.analyze(model_content=content)
    shapes = {
        name: [int(n) for n in shape.split(",")]
        for name, shape in re.findall(r"T#(1_\d+)\([^)]*\) shape:\[([\d, ]+)\]", told.getvalue())
    }
    total = 0
    product = (
        r"(BATCH_MATMUL|FULLY_CONNECTED|CONV_2D|TRANSPOSE_CONV)"
        r"\(T#(1_\d+)(?:\[[^]]*\])?, T#(1_\d+)(?:, T#(1_\d+))?[^)]*\) -> \[T#(1_\d+)"
    )
    for kind, first, second, third, out in re.findall(product, told.getvalue()):
        if kind == "TRANSPOSE_CONV":  # of a shape, a kernel and what it is moved over
            total += math.prod(shapes[third]) * math.prod(shapes[second][:-1])
        else:
            seen = math.prod(shapes[second][1:]) if kind == "CONV_2D" else shapes[first][-1]
            total += math.prod(shapes[out]) * seen
    runtime = model.runtime
    return total / (runtime.members * runtime._rows)


def write_params(folder: Path, path: Path, model: Model, values: float) -> None:
    """Ten settings around the middle; so many values in all."""
    size = sum(measurement.size for measurement in model.measurements)
    trials = max(1, round(values / size / SETTINGS))
    lines = [f'model = "{path.resolve()}"', f"trials = {trials}", "seed = 1", "[parameters]"]
    for i, (name, value) in enumerate(middle(model).items()):
        low = f"{{ start = {0.9 * value}, stop = {1.1 * value}, num = {SETTINGS} }}"
        lines.append(f"{name} = {low if i == 0 else json.dumps(value)}")
    (folder / "params.toml").write_text("\n".join(lines))


def middle(model: Model) -> dict[str, float | str]:
    """A setting in the middle of the training data."""
    return {
        found["name"]: sum(found["range"]) / 2
        if found["kind"] != "categorical"
        else found["categories"][0]
        for found in model.manifest["parameters"]
    }


def measure(folder: Path, suffix: str, *more: str) -> tuple[float, float, float, int]:
    """Simulate in a new process: seconds, seconds of cores, peak MB, bytes of the file."""
    path = folder / f"v.{suffix}"
    command = [sys.executable, "-c", RUN, str(folder / "params.toml"), "-o", str(path), *more]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, busy, peak = map(float, done.stdout.splitlines()[-1].split())
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return seconds, busy, peak, size


def share_out(folder: Path, workers: list[int]) -> None:
    """Print what several processes take, with start and end and without."""
    first: tuple[float, float] | None = None
    for count in workers:
        asked = ("--workers", str(count))
        idle = measure(folder, "zarr", *asked, "--trials", "1")[0]
        seconds, busy, _, _ = measure(folder, "zarr", *asked)
        first = first or (seconds, seconds - idle)
        print(
            f"    workers {count}: {seconds:.1f} s, {busy / seconds:.2f} cores busy, start and end "
            f"{idle:.1f} s; {first[0] / seconds:.2f} times as fast, "
            f"{first[1] / (seconds - idle):.2f} without start and end",
            flush=True,
        )


def profile(model: Model) -> None:
    """Print where one thread's time goes."""
    design = design_from({name: [value] for name, value in middle(model).items()}, model.parameters)
    drawer, trials = Drawer(model, design, seed=0), range(model.runtime.rows)
    drawer.draw(range(1), trials)
    watch = cProfile.Profile(time.thread_time)
    watch.runcall(drawer.draw, range(1), trials)
    found = pstats.Stats(watch).stats  # type: ignore[attr-defined]
    total = sum(row[2] for row in found.values())
    for (_, _, name), row in sorted(found.items(), key=lambda item: -item[1][2])[:9]:
        print(f"    {row[2] / total:4.0%}  {name}")
    inside = {name: row[3] / total for (_, _, name), row in found.items()}
    print(f"    {inside['normal']:4.0%}  in all, Gaussian numbers")


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--values", type=float, nargs="*", default=[1e7])
    parser.add_argument("--workers", type=int, nargs="*", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("model       format  values   seconds  cores  M values/s  per core  product  disk  share")
    for path in asked.models:
        model = load(path)
        size = sum(measurement.size for measurement in model.measurements)
        work = multiply_adds(model) / size
        for values in asked.values:
            for suffix in ("nc", "zarr"):
                write_params(asked.out, path, model, values)
                before = matrix_rate()
                seconds, busy, peak, written = measure(asked.out, suffix)
                product = (before + matrix_rate()) / 2 / work
                disk = disk_rate(asked.out, written) / (written / values)
                rate = values / seconds
                print(
                    f"{path.parent.name:<11} {suffix:<7} {values:<8.0e} {seconds:7.1f} "
                    f"{busy / seconds:6.2f} {rate / 1e6:11.2f} {values / busy / 1e6:9.2f} "
                    f"{product / 1e6:8.1f} "
                    f"{disk / 1e6:5.0f} {rate / min(product, disk):6.1%} {peak:4.0f}",
                    flush=True,
                )
            share_out(asked.out, asked.workers)
        profile(model)


if __name__ == "__main__":
    main()
