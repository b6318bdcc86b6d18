"""Train on files of 0.5, 2 and 8 GB: does peak memory grow with them?

    python tests/benchmarks/larger_than_memory.py OUT [GB …]

OUT gets a folder per size with a lab file, its experiment.toml and the model; the lab file goes
when its training has ended, so that OUT needs half as much again as the largest. Each training
runs in a process of its own. The last one, of the smallest file, is in memory, to compare with.
Prints a table: trials, seconds to read and to shuffle, trials per second in both, steps of
training per second, and peak memory with its ratio to that of the smallest file.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

SIZES = (0.5, 2.0, 8.0)  # GB
MEMORY, IN_MEMORY = "250 MB", "100 GB"
SAMPLES, SETTINGS, PART = 128, 2000, 20_000

EXPERIMENT = """
[experiment]
name = "large"
[data]
files = ["lab.h5"]
[parameters]
a = { path = "a" }
b = { path = "b" }
c = { path = "c" }
[measurements]
y = { path = "y" }
z = { path = "z", support = [0, inf] }
[measurements.s]
path = "s"
dims = ["time"]
coords.time = { path = "t", units = "s" }
[training]
max_time = "60 s"
memory = "MEMORY"
"""


def write_lab(path: Path, gigabytes: float) -> int:
    """Damped oscillations at 2,000 settings, sorted by setting; returns the number of trials."""
    n = int(gigabytes * 1e9 / 8 / (SAMPLES + 5))
    rng, t = np.random.default_rng(0), np.linspace(0, 1, SAMPLES)
    settings = rng.random((SETTINGS, 3))
    with h5py.File(path, "w") as file:
        file["t"] = t
        flat = {name: file.create_dataset(name, (n,), "f8") for name in "abcyz"}
        signal = file.create_dataset("s", (n, SAMPLES), "f8")
        for start in range(0, n, PART):
            rows = np.arange(start, min(start + PART, n))
            a, b, c = settings[rows * SETTINGS // n].T
            y = np.sin(3 * a) + b + 0.1 * rng.standard_normal(len(rows))
            z = np.maximum(0, c - 0.3 + 0.2 * rng.standard_normal(len(rows)))
            phase = 0.3 * rng.standard_normal((len(rows), 1))
            wave = np.sin(2 * np.pi * (1 + 2 * b)[:, None] * t + phase)
            wave *= (1 + a)[:, None] * np.exp(-3 * c[:, None] * t)
            here = slice(start, start + len(rows))
            signal[here] = wave + 0.05 * rng.standard_normal(wave.shape)
            for name, values in zip("abcyz", (a, b, c, y, z), strict=True):
                flat[name][here] = values
    return n


def train(folder: Path) -> None:
    """Train in this process; write what was measured as JSON on stdout."""
    from virtlab.progress import Progress
    from virtlab.training import train

    begun: dict[str, float] = {}
    last: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def tell(progress: Progress) -> None:
        now = time.monotonic()
        begun.setdefault(progress.stage, now)
        last[progress.stage] = now
        peaks[progress.stage] = peak()

    start = time.monotonic()
    model = train(folder / "experiment.toml", output=folder / "m.virtlab", force=True, report=tell)
    history = [row for row in model.manifest["training"]["history"] if row["stage"] == "likelihood"]
    steps = history[-1]["step"] - history[0]["step"]
    found = {
        "trials": model.manifest["data"]["trials"],
        "reading": last["reading"] - start,
        "shuffling": last["shuffling"] - begun["shuffling"] if "shuffling" in begun else None,
        "steps_per_second": steps / max(last["likelihood"] - begun["likelihood"], 1e-9),
        "total": time.monotonic() - start,
        "score": model.manifest["training"]["score"],
        "peak": peak(),
        "peaks": peaks,
    }
    print(json.dumps(found))


def peak() -> float:
    """Peak memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(folder: Path, gigabytes: float, memory: str) -> dict[str, float]:
    """Make a file, train on it in a new process, and delete it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lab(folder / "lab.h5", gigabytes)
    (folder / "experiment.toml").write_text(EXPERIMENT.replace("MEMORY", memory))
    try:
        command = [sys.executable, __file__, "--train", str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        (folder / "lab.h5").unlink()
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(out: Path, sizes: list[float]) -> None:
    """Measure each size, then the smallest in memory."""
    print("GB    memory   trials     read s  shuffle s  trials/s  steps/s  score  peak MB  ratio")
    first = None
    for size, memory in [*((size, MEMORY) for size in sizes), (min(sizes), IN_MEMORY)]:
        found = measure(out / f"{size:g}_{memory.replace(' ', '')}", size, memory)
        first = first or found["peak"]
        shuffled = found["shuffling"] or 0.0
        rate = found["trials"] / (found["reading"] + shuffled)
        print(
            f"{size:<5g} {memory:<8} {found['trials']:<10,} {found['reading']:6.0f} "
            f"{shuffled:10.0f} {rate:9.0f} {found['steps_per_second']:8.1f} {found['score']:6.3f} "
            f"{found['peak']:8.0f} {found['peak'] / first:6.2f}",
            flush=True,
        )
        print("      peak by stage, MB:", {k: round(v) for k, v in found["peaks"].items()})


if __name__ == "__main__":
    if sys.argv[1] == "--train":
        train(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), [float(size) for size in sys.argv[2:]] or list(SIZES))
