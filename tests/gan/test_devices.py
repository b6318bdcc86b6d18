"""Members spread over devices: the same result as on one."""

import json
import subprocess
import sys

import numpy as np
import pytest

from virtlab.gan.critic import Critic
from virtlab.gan.devices import shares_of
from virtlab.gan.folds import split_by_setting
from virtlab.gan.games import Table
from virtlab.gan.state import State

CASES = [("memory", "auto"), ("compiled", "auto"), ("stream", "wgan-gp")]

CHILD = """
import json, sys
from dataclasses import replace
import numpy as np
import tensorflow as tf

cpus = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)

from virtlab.gan import attempt, fit as module, games, presets
from virtlab.gan.blocks import Blocks, Layout
from virtlab.gan.fit import fit
from virtlab.gan.options import Options
from virtlab.gan.stream import Stream

small = presets.sizes_for
module.sizes_for = lambda *given: replace(
    small(*given), likelihood_steps=20, game_steps=10, every=10
)
module.sizes_to_stream = lambda sizes, *_: sizes
games.GAMES["wgan-gp"] = replace(games.GAMES["wgan-gp"], critic_steps=2)
arrays = dict(np.load(sys.argv[1], allow_pickle=False))
levels = tuple(int(level) for level in arrays.pop("levels"))
layout = {name[7:]: arrays.pop(name) for name in list(arrays) if name.startswith("layout.")}
blocks = Blocks(**arrays, layout=Layout(**layout, levels=levels))
keys, n = np.unique(blocks.setting), len(blocks)
assert (keys == np.arange(len(keys))).all()
whole = Stream(lambda at, count: blocks.take(np.arange(at, at + count) % n), n, keys)
told = []
for kind, preset in json.loads(sys.argv[2]):
    attempt.WORTH_COMPILING = 0 if kind == "compiled" else 1000
    for devices in ((), ("CPU:0", "CPU:1")):
        options = Options(preset=preset, members=3, generators=2, critics=2, devices=devices)
        found = fit(blocks, options, stream=whole if kind == "stream" else None)
        sums = {
            name: np.abs(array).sum(axis=tuple(range(1, array.ndim))).tolist()
            for name, array in sorted((found.weights | found.critic).items())
        }
        whole.close()
        told.append({"scores": found.scores.tolist(), "sums": sums, "ended": found.ended})
assert len(tf.config.list_logical_devices("CPU")) == 2
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def fits(coded_blocks, tmp_path_factory):
    """For each case, what fits on one and on two logical devices end with: in a new process."""
    path, layout = tmp_path_factory.mktemp("devices") / "blocks.npz", coded_blocks.layout
    arrays = {f"layout.{k}": v for k, v in vars(layout).items() if isinstance(v, np.ndarray)}
    np.savez(path, **coded_blocks.arrays, **arrays, levels=np.array(layout.levels))
    command = [sys.executable, "-c", CHILD, str(path), json.dumps(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    return {case: told[2 * i : 2 * i + 2] for i, case in enumerate(CASES)}


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_two_devices_give_what_one_gives(fits, case):
    one, two = fits[case]
    assert one["ended"] == two["ended"]
    np.testing.assert_allclose(two["scores"], one["scores"], rtol=1e-3)
    assert one["sums"].keys() == two["sums"].keys()
    for name, sums in one["sums"].items():
        # Where nothing pulls, as at a critic's last bias, steps follow rounding.
        np.testing.assert_allclose(two["sums"][name], sums, rtol=1e-3, atol=1e-4, err_msg=name)


def test_members_are_shared_out_in_order_and_evenly(coded_blocks):
    rng = np.random.default_rng(0)
    folds = split_by_setting(coded_blocks.setting, members=5, folds=5, rng=rng).repeated(2)
    table = Table(Critic(2, coded_blocks.layout), members=5, generators=2, critics=3)
    weights = {"w": np.arange(10, dtype=np.float32)[:, None, None]}
    critics = {"v": np.arange(15, dtype=np.float32)[:, None, None]}
    state = State.start(weights, critics)
    shares = shares_of(["CPU:0"] * 2, coded_blocks, None, table, folds, state)
    assert [share.table.members for share in shares] == [3, 2]
    assert [share.among for share in shares] == [(0, 10), (6, 10)]
    drawn = [share.state.weights["w"].numpy().ravel().tolist() for share in shares]
    assert drawn == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert shares[1].state.critic["v"].numpy().ravel().tolist() == [9, 10, 11, 12, 13, 14]
    np.testing.assert_array_equal(shares[1].folds.train, folds.train[6:])
    idle = shares_of(["CPU:0"] * 7, coded_blocks, None, table, folds, state)
    assert [share.table.members for share in idle] == [1] * 5
