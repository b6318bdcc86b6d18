"""Where an unfinished training stands, on disk."""

import pickle

import numpy as np
import pytest

from virtlab.errors import ConfigError
from virtlab.training.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint

IDENTITY = {"data": "abc", "preset": "auto", "members": None, "seed": 3, "virtlab": "0.1.0"}
ARRAYS = {
    "weights/trunk": np.arange(6, dtype=np.float32).reshape(2, 3),
    "best_score": np.array([0.1, np.inf]),
}
POSITION = {"stage": 1, "step": 40, "since": 2, "history": [{"score": 0.5, "stage": "x"}]}


@pytest.fixture
def path(tmp_path):
    path = checkpoint_path(tmp_path / "m.virtlab")
    save_checkpoint(path, (ARRAYS, POSITION), IDENTITY)
    return path


def test_checkpoint_lies_beside_the_model_it_will_become(path):
    assert path.name == "m.virtlab.checkpoint"


def test_checkpoint_comes_back_as_it_was(path):
    arrays, position = load_checkpoint(path, IDENTITY)
    assert position == POSITION
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_no_checkpoint_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "none.checkpoint", IDENTITY) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 4}, "seed changed"),
        ({"data": "abd"}, "data changed"),
        ({"virtlab": "0.2.0", "members": 4}, "members, virtlab changed"),
    ],
)
def test_checkpoint_of_another_training_names_what_changed(path, changes, told):
    with pytest.raises(ConfigError, match=f"of another training: {told}; .*delete m.virtlab.check"):
        load_checkpoint(path, IDENTITY | changes)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", pickle.dumps(POSITION), b"\xff" * 100, b"\2\0\0\0\0\0\0\0{}"]
)
def test_damaged_checkpoint_is_told(path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"the checkpoint is damaged .*train without --resume"):
        load_checkpoint(path, IDENTITY)


def test_truncated_checkpoint_is_told(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 50):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="damaged"):
            load_checkpoint(path, IDENTITY)


def test_saving_again_replaces_the_checkpoint(path):
    save_checkpoint(path, (ARRAYS, POSITION | {"step": 50}), IDENTITY)
    assert load_checkpoint(path, IDENTITY)[1]["step"] == 50
    assert [file.name for file in path.parent.iterdir()] == [path.name]
