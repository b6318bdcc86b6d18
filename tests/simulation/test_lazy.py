"""`model.simulate(..., chunks=…)`: drawn when looked at, the same trials as at once."""

import pickle

import dask
import numpy as np
import pytest

from virtlab.errors import ConfigError, VirtlabError
from virtlab.simulation.drawing import Drawer

GRID = {"power": [1, 2.5, 4], "material": ["glass", "steel"]}


@pytest.mark.parametrize(
    "chunks",
    ["auto", 7, {"trial": 16, "power": 2}, {"material": 1}, {"trial": -1, "power": 1}, {}],
)
@pytest.mark.parametrize("settings", [GRID, {"power": 3, "material": "glass"}])
def test_lazy_trials_are_those_drawn_at_once(tiny, chunks, settings):
    if isinstance(chunks, dict) and set(chunks) - {"trial"} and settings is not GRID:
        return
    lazy = tiny.simulate(settings, trials=50, seed=4, chunks=chunks)
    assert all(dask.is_dask_collection(lazy[name].data) for name in ("light", "trace", "member"))
    at_once = tiny.simulate(settings, trials=50, seed=4)
    assert lazy.compute().identical(at_once)


def test_only_what_is_looked_at_is_drawn(tiny, monkeypatch):
    drawn, draw = [], Drawer.draw

    def counted(self, settings, trials, *more):
        drawn.append((len(settings), trials))
        return draw(self, settings, trials, *more)

    monkeypatch.setattr(Drawer, "draw", counted)
    lazy = tiny.simulate(GRID, trials=10**4, chunks={"trial": 100, "power": 1, "material": 1})
    assert drawn == []
    found = lazy[["light", "trace"]].isel(power=1, material=0, trial=slice(350, 360)).compute()
    assert drawn == [(1, range(300, 400))]
    alone = tiny.simulate({"power": 2.5, "material": "glass"}, trials=360)
    np.testing.assert_array_equal(found["trace"], alone["trace"][350:])


def test_a_model_travels_to_a_worker(tiny):
    again = pickle.loads(pickle.dumps(tiny))
    at = {"power": 3, "material": "glass"}
    assert again.simulate(at, trials=9).identical(tiny.simulate(at, trials=9))


@pytest.mark.parametrize(
    ("chunks", "said"),
    [({"time": 3}, "unknown dim 'time'"), (0, "found 0"), (2.5, "found 2.5"), (True, "found True")],
)
def test_impossible_chunks_are_told(tiny, chunks, said):
    with pytest.raises(ConfigError, match=said):
        tiny.simulate(GRID, chunks=chunks)


def test_impossible_numbers_are_told_at_once(tiny):
    with pytest.raises(VirtlabError, match="trials: expected"):
        tiny.simulate(GRID, trials=0, chunks=5)
