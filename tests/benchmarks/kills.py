"""Kill -9 a run at random moments, go on with it, and compare with one that nobody disturbed.

    python tests/benchmarks/kills.py OUT MODEL [KILLS]

The run writes some dozens of regions to a Zarr store. Each time it is begun with `--resume`, killed
when it has written a random number of files, gone on with until it is done, and compared byte by
byte. Prints how far each had come, and how many differ (none should).
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from virtlab.simulation import load

sys.path.insert(0, str(Path(__file__).parent))
from throughput import write_params

VALUES = 4e5
RUN = """
import sys
from virtlab.storage import template
template.REGION_BYTES = 2**17
from virtlab.cli import main
main(["simulate", *sys.argv[1:]])
"""


def start(out: Path, store: Path) -> subprocess.Popen[bytes]:
    """Begin or go on."""
    command = [sys.executable, "-c", RUN, str(out / "params.toml"), "-o", str(store)]
    return subprocess.Popen([*command, "--resume", "-q"], stdout=subprocess.DEVNULL)


def written(store: Path) -> int:
    """How many files there are; none while it is moved to its place."""
    try:
        return sum(file.is_file() for file in store.rglob("*"))
    except FileNotFoundError:
        return 0


def content(store: Path) -> dict[str, bytes]:
    """All files of a store."""
    files = [file for file in store.rglob("*") if file.is_file()]
    return {str(file.relative_to(store)): file.read_bytes() for file in files}


def main(out: Path, model: Path, kills: int) -> None:
    """Kill, go on, compare."""
    out.mkdir(parents=True, exist_ok=True)
    write_params(out, model, load(model), VALUES)
    whole, store = out / "whole.zarr", out / "killed.zarr"
    begun = time.monotonic()
    assert start(out, whole).wait() == 0
    seconds, wanted = time.monotonic() - begun, content(whole)
    print(f"undisturbed: {seconds:.1f} s, {len(wanted)} files", flush=True)
    rng, different = random.Random(0), 0
    for number in range(kills):
        process = start(out, store)
        left, files = store.with_name(store.name + ".unfinished"), rng.randrange(len(wanted))
        while written(left) < files and not store.exists():
            time.sleep(0.002)
        process.kill()
        process.wait()
        had = len(content(left))
        if not store.exists():
            assert start(out, store).wait() == 0
        same = content(store) == wanted
        different += not same
        print(f"{number}: killed with {had} files: {'same' if same else 'DIFFERENT'}", flush=True)
        shutil.rmtree(store)
    print(f"{kills} kills, {different} different")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int([*sys.argv, "30"][3]))
