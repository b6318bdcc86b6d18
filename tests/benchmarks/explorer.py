"""How long the explorer takes from a slider to its picture, in a headless Chromium.

    python tests/benchmarks/explorer.py MODEL … [--trials 1000] [--moves 12]

Each model is served by `virtlab explore`; a slider is moved to places where it has not been, one
setting at a time, and the clock of the page runs from there to the frame after the one in which
the first trials are drawn, and that in which all are. Medians, and quartiles of the latter. Beside
it stands the processor's time, of the command and of the browser with all its helpers (which
paints without a GPU), per move: other work on the machine counts in the clock alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HOME = Path(__file__).parents[1] / "explorer" / "conftest.py"
TICK = os.sysconf("SC_CLK_TCK")
# A slider is moved as a hand moves it; the server's answers come through the page's own models.
MOVE = """
(async () => {
  const model = (name) => Bokeh.documents[0].get_model_by_name(name)
  const slider = model('A_slider_0')
  const whole = slider.start + %f * (slider.end - slider.start)
  const frame = () => new Promise((done) => requestAnimationFrame(done))
  const before = model('params').text
  const start = performance.now()
  slider.value = whole
  let first = null
  for (;;) {
    await frame()
    const status = model('status').text
    if (first === null && model('params').text !== before) { await frame()
      first = performance.now() - start }
    if (first !== null && !status.startsWith('The first')) { await frame()
      return [first, performance.now() - start, status] }
    if (performance.now() - start > 20000) { return null }
  }
})()
"""


def driver() -> Any:
    """The browser of the explorer's tests."""
    spec = importlib.util.spec_from_file_location("driver", HOME)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spent(processes: list[int]) -> float:
    """Seconds of the processor that processes have used."""
    total = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def family(group: int) -> list[int]:
    """All processes of a group or, of a browser's helpers, of its session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == group:
            found.append(int(path.parent.name))
    return found


def measure(tools: Any, browser: Any, model: Path, trials: int, moves: int) -> None:
    """Print a line about one model."""
    running = tools.Explorer(model, "--trials", trials, "-q")
    try:
        tab = browser.tab()
        tab.size(1280, 800)
        tab.open(running.address)
        time.sleep(2)  # a page that has just come has other things to do
        places = np.random.default_rng(0).permutation(np.linspace(0.15, 0.85, moves + 2))
        tab.evaluate(MOVE % places[0])
        tab.evaluate(MOVE % places[1])
        server, own = [running.process.pid], family(browser.process.pid)
        before, clock = (spent(server), spent(own)), []
        for place in places[2:]:
            clock.append(tab.evaluate(MOVE % place)[:2])
            time.sleep(0.2)
        used = [
            (after - b) / moves
            for after, b in zip((spent(server), spent(own)), before, strict=True)
        ]
        first, whole = np.array(clock).T
        low, middle, high = np.quantile(whole, (0.25, 0.5, 0.75))
        print(
            f"{model.stem:20}{np.median(first):10.0f}{middle:10.0f}   {low:5.0f} to {high:<5.0f}"
            f"{1000 * used[0]:12.0f}{1000 * used[1]:12.0f}",
            flush=True,
        )
        tab.send("Page.close")
    finally:
        running.close()


def main() -> None:
    """Measure the models that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--moves", type=int, default=12)
    given = parser.parse_args()
    tools = driver()
    print(f"{given.trials:,} trials; ms; load {os.getloadavg()[0]:.1f}")
    print(
        f"{'model':20}{'first':>10}{'all':>10}   quartiles    "
        f"{'command CPU':>13}{'browser CPU':>12}"
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = tools.Browser(Path(folder))
        try:
            for model in given.models:
                measure(tools, browser, model, given.trials, given.moves)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
