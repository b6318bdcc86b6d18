"""Features of signals and images: what each is there to show."""

import numpy as np
import pytest

from virtlab.evaluation.compared import Compared, deviations
from virtlab.evaluation.features import features_of
from virtlab.evaluation.fidelity import compare_clouds
from virtlab.evaluation.two_sample import tell_apart
from virtlab.trials import Measurement

TRACE = Measurement("trace", dims=("t",), shape=(64,))
IMAGE = Measurement("image", dims=("row", "column"), shape=(12, 9))


def split(measurement, real, virtual):
    both = features_of(measurement, real, virtual)
    return both[: len(real)], both[len(real) :]


def noise(rng, colour, n=200, width=64):
    """Noise of variance 1 whose power falls with frequency to the power of `colour`."""
    spectrum = np.fft.rfft(rng.normal(size=(n, width)), axis=1)
    spectrum *= np.maximum(np.arange(spectrum.shape[1]), 1) ** (-colour / 2)
    found = np.fft.irfft(spectrum, width, axis=1)
    return found / found.std()


@pytest.mark.parametrize("colour", [0.0, 2.0])
def test_the_spectrum_tells_the_colour_of_noise_band_by_band(colour):
    rng = np.random.default_rng(0)
    white, coloured = split(TRACE, noise(rng, 0.0), noise(rng, colour))
    shift = (coloured.mean(axis=0) - white.mean(axis=0)) / white.std(axis=0)
    bands = shift[-10:-5]  # before the five components
    if colour:
        assert bands[0] > 1
        assert bands[-1] < -1
        assert (np.diff(bands) < 0).all()
    else:
        assert np.abs(shift).max() < 0.4


def test_moments_tell_skewed_from_symmetric_noise_of_the_same_mean_and_spread():
    rng = np.random.default_rng(1)
    even = rng.normal(size=(200, 64))
    skewed = rng.exponential(size=(200, 64)) - 1
    real, virtual = split(TRACE, even, skewed)
    assert abs(virtual[:, 0].mean() - real[:, 0].mean()) < 0.1
    assert virtual[:, 4].mean() > real[:, 4].mean() + 1  # skewness
    assert virtual[:, 5].mean() > real[:, 5].mean() + 1  # kurtosis


def test_images_have_a_spectrum_and_a_centroid_along_each_dim():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(60, 108))
    moved = np.zeros((60, 12, 9))
    moved[:, 9, 4] = 5.0
    here, there = split(IMAGE, real, moved.reshape(60, -1) + 0.01 * real)
    assert here.shape == there.shape == (60, 6 + 2 * (3 + 4) + 5)  # so short, 4 bands
    assert there[:, 7].mean() == pytest.approx(9, abs=1.5)  # centroid along rows


def test_gaps_hide_the_same_values_of_both_and_leave_the_rest_finite():
    rng = np.random.default_rng(3)
    real, virtual = rng.normal(size=(2, 50, 64))
    real[:10, 20:40] = np.nan
    real[0] = np.nan
    here, there = split(TRACE, real, virtual)
    assert np.isnan(here[0]).all()
    assert np.isnan(there[0]).all()
    assert np.isfinite(here[1:]).all()
    assert np.isfinite(there[1:]).all()


def test_constant_signals_have_finite_features():
    both = features_of(TRACE, np.full((5, 64), 3.0), np.full((5, 64), 3.0))
    assert np.isfinite(both).all()


def test_frechet_distance_and_classifier_see_noise_of_another_colour():
    rng = np.random.default_rng(4)
    conditions = np.zeros((200, 1), np.float32)
    real = {"trace": noise(rng, 0.5)}
    for colour, alike in ((0.5, True), (1.0, False)):
        virtual = {"trace": noise(rng, colour)}
        cloud = compare_clouds(conditions, [TRACE], real, virtual, seed=0)["Fréchet distance"]
        setting = np.repeat(np.arange(40), 5)
        apart = tell_apart(np.zeros((40, 1), np.float32), setting, [TRACE], real, virtual, seed=0)
        assert (cloud.model.low < cloud.floor.high) is alike
        assert (apart.auc.value < 0.65) is alike


UNUSED = ("weight", "score", "marginal", "ranks", "shares", "quantiles")


def test_real_and_virtual_values_are_held_against_the_same_draws():
    rng, count = np.random.default_rng(0), 30
    drawn = rng.normal(3, 2, (count, 6))
    real = rng.normal(3, 2, (count, 1))
    real[:4] = np.nan
    unused = {name: np.zeros(0) for name in UNUSED}
    compared = Compared(
        measurement=Measurement("light"),
        real=real,
        setting=np.arange(count),
        one=drawn[:, :1],
        draws=6,
        mean=drawn.mean(axis=1, keepdims=True),
        variance=drawn.var(axis=1, ddof=1, keepdims=True),
        examples=(),
        **unused,
    )
    of_real, of_virtual = np.split(deviations(compared), 2)
    others = drawn[:, 1:]
    mean, spread = others.mean(axis=1, keepdims=True), others.std(axis=1, ddof=1, keepdims=True)
    np.testing.assert_allclose(of_real, np.clip((real - mean) / spread, -10, 10))
    assert np.isnan(of_virtual[:4]).all()
    stands = np.clip((drawn[:, :1] - mean) / spread, -10, 10)
    np.testing.assert_allclose(of_virtual[4:], stands[4:])
