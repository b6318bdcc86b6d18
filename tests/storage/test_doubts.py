"""What is said of trials that look wrong."""

import numpy as np
import pytest

from virtlab.progress import Progress
from virtlab.storage.doubts import doubts
from virtlab.storage.lab import open_trials
from virtlab.training import train


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def said_of(lab, values, **keys):
    """Doubts about a lab file whose measurement holds such values."""
    lab.write(parameters__x=np.linspace(0, 1, len(values)), measurements__y=values)
    return doubts(open_trials(lab.experiment(**keys)))


def test_whole_numbers_taken_for_continuous_are_told_of(lab, rng):
    counts = rng.poisson(4, 60).astype(float)
    (said,) = said_of(lab, counts)
    assert said.startswith("y: all values are whole numbers")
    assert 'kind = "count" in [measurements.y]' in said
    assert not said_of(lab, counts, y='kind = "count"')


@pytest.mark.parametrize("change", [lambda y: y + 0.5, lambda y: y - 9, lambda y: np.minimum(y, 1)])
def test_halves_negative_numbers_and_two_values_alone_are_no_counts(lab, rng, change):
    assert not said_of(lab, change(rng.poisson(4, 60).astype(float)))


def test_a_wild_value_is_named_with_its_trial(lab, rng):
    y = rng.normal(0, 1, 80)
    y[17] = 1e6
    (said,) = said_of(lab, y)
    assert said.startswith("y: 1e+06 of trial 17 of a.h5 is far from all others")
    assert not said_of(lab, y, data="missing = [1e+06]")  # as the sentence proposes


@pytest.mark.parametrize("scatter", [np.ones_like, np.exp, lambda x: np.exp(3 * x), np.sign])
def test_skewed_and_discrete_values_are_not_wild(lab, rng, scatter):
    assert not said_of(lab, scatter(rng.normal(0, 1, 300)) + 0.1)


def test_one_wild_entry_of_a_signal_is_found_and_narrow_lines_are_none(lab, rng):
    signal = rng.normal(0, 1, (60, 400))
    signal[:, 200] += 500  # a line of the spectrum
    keys = {"y": 'dims = ["t"]'}
    assert not said_of(lab, signal, **keys)
    signal[[31, 8], 3] = -1e5, np.nan
    (said,) = said_of(lab, signal, **keys)
    assert "-100000 of trial 31 of a.h5 is far" in said


def test_doubts_are_told_before_anything_is_learned(lab, rng):
    class Enough(Exception):
        pass

    told = []

    def report(progress: Progress):
        if progress.note:
            told.append(progress.note)
        if progress.stage.startswith("starting"):
            raise Enough

    y = rng.normal(0, 1, 80)
    y[5] = -1e9
    lab.write(parameters__x=np.linspace(0, 1, 80), measurements__y=y)
    with pytest.raises(Enough):
        train(lab.experiment(), report=report)
    assert [note.split(" is far")[0] for note in told] == ["y: -1e+09 of trial 5 of a.h5"]
