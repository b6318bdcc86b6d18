"""Rows in random order on disk: all of them, once, and nothing left behind."""

from collections import namedtuple

import numpy as np
import pytest

from virtlab.errors import OutputError
from virtlab.storage import scratch
from virtlab.storage.scratch import shuffled

ROW = np.dtype([("number", "<i8"), ("values", "<f4", (3,))])


def numbered(count, size=100):
    """Rows in parts, each with its number in every field."""
    for start in range(0, count, size):
        rows = np.zeros(min(size, count - start), ROW)
        rows["number"] = np.arange(start, start + len(rows))
        rows["values"] = rows["number"][:, None]
        yield rows


def shuffle(folder, count=2000, memory=3000, seed=0, parts=None):
    rng = np.random.default_rng(seed)
    given = parts or numbered(count)
    return shuffled(given, ROW, count, folder=folder, memory=memory, rng=rng)


@pytest.mark.parametrize("memory", [3000, 10**6])
def test_every_row_comes_once_and_whole(tmp_path, memory):
    with shuffle(tmp_path, memory=memory) as rows:
        found = rows.read(0, len(rows))
    assert sorted(found["number"]) == list(range(2000))
    np.testing.assert_array_equal(found["values"], found["number"][:, None].repeat(3, axis=1))


@pytest.mark.parametrize("memory", [3000, 10**6])
def test_every_place_is_equally_likely(tmp_path, memory):
    orders = []
    for seed in range(60):
        with shuffle(tmp_path, 500, memory // 4, seed) as rows:
            orders.append(rows.read(0, 500)["number"])
    orders = np.array(orders)
    # Mean place over the seeds has a standard error of 144 / sqrt(60) = 19.
    assert np.abs(orders.mean(axis=0) - 249.5).max() < 5 * 19
    neighbours = np.abs(np.diff(orders, axis=1)).mean()
    assert neighbours == pytest.approx(500 / 3, rel=0.02)


def test_rows_after_the_last_are_the_first(tmp_path):
    with shuffle(tmp_path, 50) as rows:
        once = rows.read(0, 50)["number"]
        np.testing.assert_array_equal(rows.read(40, 120)["number"], np.tile(once, 4)[40:160])


def test_order_follows_the_seed(tmp_path):
    def order(seed):
        with shuffle(tmp_path, seed=seed) as rows:
            return rows.read(0, 2000)["number"].tolist()

    assert order(1) == order(1) != order(2)


def test_nothing_has_a_name_and_nothing_is_left(tmp_path):
    def interrupted():
        yield from numbered(300)
        raise KeyboardInterrupt

    with shuffle(tmp_path):
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), shuffle(tmp_path, parts=interrupted()):
        pass
    assert list(tmp_path.iterdir()) == []


def test_disk_without_room_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _: usage(10**8))
    parts = iter([pytest.fail])
    wanted = r"training on 9,000,000 trials needs 0\.2 GB .* found 0\.1 GB free; make room"
    with (
        pytest.raises(OutputError, match=wanted),
        shuffle(tmp_path, count=9_000_000, parts=parts),
    ):
        pass
    assert next(parts)


def test_folder_that_is_missing_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), shuffle(tmp_path / "file"):
        pass
