"""On tasks whose truth is known to somebody else, scores agree with the truth."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.domain import learn_domain
from virtlab.evaluation.comparison import compare
from virtlab.modelfile import HELD_OUT
from virtlab.scaling import fit_column
from virtlab.trials import Measurement

TASKS = Path(__file__).resolve().parents[3] / "shared" / "bench" / "tasks.py"

pytestmark = pytest.mark.skipif(not TASKS.exists(), reason="no bench beside the project")

SETTINGS, REPLICATES, DRAWS = 90, 4, 120


@pytest.fixture(scope="module")
def tasks():
    """The bench's tasks by name."""
    spec = importlib.util.spec_from_file_location("bench_tasks", TASKS)
    module = sys.modules["bench_tasks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {task.name: task for task in vars(module)["TASKS"].values()}


def made(task, known, what):
    """A model file's stand-in whose held-out draws are the truth, or wrong in a known way."""
    rng = np.random.default_rng(4)
    places = task.sample_params(rng, SETTINGS)
    rows = np.repeat(places, REPLICATES, axis=0)
    real = task.sample_flat(rng, rows)
    asked = np.repeat(places, DRAWS, axis=0)
    if what == "marginal":
        asked = task.sample_params(rng, len(asked))
    drawn = task.sample_flat(rng, asked)
    if what == "shifted":
        drawn = drawn + real.std()
    if what == "collapsed":
        by_setting = drawn.reshape(SETTINGS, DRAWS, -1)
        drawn = (0.15 * by_setting + 0.85 * by_setting[:, :1]).reshape(drawn.shape)
    dims = tuple(f"axis_{i}" for i in range(len(task.shape))) if task.dim > 1 else ()
    shape = tuple(task.shape) if task.dim > 1 else ()
    measurement = Measurement("y", dims=dims, shape=shape)
    column = fit_column(measurement, np.concatenate([real, drawn]).reshape(-1, *shape))
    scaled, _, codes = column.scale_down(drawn.reshape(-1, *shape))
    conditions = task.encode(places).astype(np.float32)
    arrays = {
        "fold": np.arange(SETTINGS) % 5,
        "setting": np.repeat(np.arange(SETTINGS), REPLICATES),
        "judged": np.arange(SETTINGS),
        "drawn/values": scaled.reshape(SETTINGS, DRAWS, -1).astype(np.float16),
        "drawn/codes": codes.reshape(SETTINGS, DRAWS, 1)[..., : bool(column.levels)],
        "drawn/first": np.array([DRAWS // 2]),
        "real/0": real,
    } | {f"parameter/{i}": place for i, place in enumerate(places.T)}
    manifest = known.known_manifest(task.name)
    return SimpleNamespace(
        file=SimpleNamespace(path=Path("m"), digest="5" * 64, arrays=lambda _name: arrays),
        parameters=tuple(Parameter(p.name) for p in task.params),
        measurements=(measurement,),
        columns=(column,),
        conditions=lambda _settings: conditions,
        domain=learn_domain(conditions, rng),
        manifest=manifest
        | {
            "members": {HELD_OUT: {}},
            "columns": [{"measurement": vars(measurement)}],
            "scores": {"y": manifest["scores"]["light"]},
        },
    )


@pytest.mark.parametrize("name", ["bimodal", "yield", "tiny", "slcp", "spectrum"])
def test_scores_agree_with_the_truth(tasks, known, name):
    found = {
        what: compare(made(tasks[name], known, what), baselines=()).measurements[0]
        for what in ("true", "marginal", "shifted", "collapsed")
    }
    true = found["true"]
    assert true.model.value == pytest.approx(true.floor, rel=0.12)
    assert true.model.low < 1.03 * true.floor
    assert true.model.high > 0.97 * true.floor
    assert true.coverage[8].value == pytest.approx(0.9, abs=0.04)
    marginal = found["marginal"]
    assert marginal.model.value == pytest.approx(marginal.marginal.value, rel=0.12)
    assert found["shifted"].model.value > 1.2 * true.model.value
    assert found["collapsed"].coverage[8].high < 0.75
    assert found["collapsed"].dispersion.high < 0.9
