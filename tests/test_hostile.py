"""Hostile input through the command line, and odd data down to the arrays that are learned from."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from virtlab import scores
from virtlab.cli import main
from virtlab.config import read_experiment
from virtlab.errors import DataError, ModelFileError
from virtlab.modelfile import read_model, replace_whole
from virtlab.scaling import column_from_dict, column_to_dict, fit_column
from virtlab.storage import open_trials
from virtlab.storage.output import write_virtual_trials
from virtlab.training.assessment import verdict
from virtlab.training.learnable import make_learnable
from virtlab.trials import Measurement

EXPERIMENT = """
[experiment]
name = "odd"
[data]
files = ["lab.h5"]
[parameters.x]
path = "x"
[measurements.y]
path = "y"
"""


@pytest.fixture
def lab(tmp_path):
    """A folder with lab.h5 (20 trials at 5 settings) and experiment.toml."""

    def make(x=None, y=None):
        rng = np.random.default_rng(0)
        with h5py.File(tmp_path / "lab.h5", "w") as file:
            file["x"] = np.resize(np.arange(1.0, 6.0), 20) if x is None else x
            file["y"] = rng.normal(size=20) if y is None else y
        (tmp_path / "experiment.toml").write_text(EXPERIMENT)
        return tmp_path

    return make


def learnable(folder):
    experiment = read_experiment(folder / "experiment.toml")
    return make_learnable(open_trials(experiment), experiment)


def train(folder, *arguments):
    return CliRunner().invoke(main, ["train", str(folder / "experiment.toml"), "-q", *arguments])


def script(*arguments, cwd, **more):
    command = [sys.executable, "-m", "virtlab", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **more)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# what can be learned from


def test_trials_at_one_setting_are_refused_in_words(lab):
    result = train(lab(x=np.full(20, 2.0)))
    assert result.exit_code == 1
    assert result.stderr == (
        "error: experiment.toml: all 20 trials are at one setting (x = 2.0); expected trials at "
        "two settings or more: nothing can be learned from one, nor held out\n"
    )


@pytest.mark.parametrize("step", [1e-4, 1e-300])
@pytest.mark.parametrize("offset", [0.0, 5e9])
def test_settings_that_differ_in_late_digits_stay_different(lab, step, offset):
    if offset + step == offset:
        pytest.skip("equal in double precision")
    found = learnable(lab(x=offset + step * np.resize(np.arange(1.0, 6.0), 20)))
    assert found.settings == 5
    assert found.conditions.dtype == np.float32
    np.testing.assert_allclose(found.conditions.std(), 1, rtol=1e-3)


def test_setting_too_large_to_calculate_with_is_refused(lab):
    result = train(lab(x=1e300 * np.resize(np.arange(1.0, 6.0), 20)))
    assert result.exit_code == 1
    assert "feature 'x' is not finite, or beyond 1e+100" in result.stderr


def test_value_too_large_to_calculate_with_is_refused(lab):
    result = train(lab(y=np.linspace(1, 2, 20) * 1e200))
    assert result.exit_code == 1
    assert "measurement 'y': found the value 2e+200, expected at most 1e+100" in result.stderr


def test_bad_input_is_told_before_tensorflow_is_loaded(lab):
    folder = lab(y=np.full(20, np.nan))
    code = (
        "import sys, virtlab\n"
        "try: virtlab.train('experiment.toml')\n"
        "except virtlab.VirtlabError: pass\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


# what is drawn


def drawn(column, n=500):
    """Whatever the networks make: values far and wide, all levels."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, max(column.levels, 1), n)
    return column.scale_up(rng.normal(0, 3, (n, column.values)).astype(np.float32), codes)


@pytest.mark.parametrize("constant", [0.0, 3.7, -1e12, 1e-300])
def test_measurement_that_never_varies_never_will(constant):
    column = fit_column(Measurement("y"), np.full(40, constant))
    assert set(drawn(column).ravel().tolist()) == {float(np.float32(constant))}


def test_what_is_only_ever_on_its_limits_stays_on_them():
    values = np.resize([0.0, 0.0, 1.0], 60)
    column = fit_column(Measurement("y", support=(0, 1)), values)
    assert set(drawn(column).ravel().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(("offset", "spread"), [(6.8e9, 1e2), (1e12, 1.0), (0.0, 1e38)])
def test_spread_beyond_single_precision_is_kept(offset, spread):
    values = offset + spread * np.random.default_rng(1).normal(size=200)
    column = fit_column(Measurement("y"), values)
    column = column_from_dict(column_to_dict(column))  # as the manifest keeps it
    made = drawn(column)
    assert made.dtype == np.float64
    assert np.isfinite(made).all()
    assert made.std() == pytest.approx(3 * spread, rel=0.2)
    assert len(np.unique(made)) > 450


def test_usual_values_stay_in_single_precision():
    values = np.random.default_rng(1).normal(300, 1, 200)
    assert drawn(fit_column(Measurement("y"), values)).dtype == np.float32


def test_missing_replicates_do_not_hide_the_noise_floor():
    real = np.array([[1.0], [2.0], [np.nan], [5.0], [5.5], [6.0]])
    setting = np.array([0, 0, 0, 1, 1, 1])
    assert scores.replicate_floor(real, setting) == pytest.approx(
        np.mean([0.5 * 1.0, 0.5 * np.mean([0.5, 0.5, 1.0])])
    )


def test_verdict_says_what_cannot_be_judged_and_praises_no_baseline_of_a_constant():
    fit = SimpleNamespace(ended="all steps done", health=("healthy",))
    rest = {"floor": 0.0, "coverage_90": 0.9, "dispersion": 1.0}
    nan = float("nan")
    found = {
        "rare": {"model": 1.0, "marginal": nan, "nearest": 2.0, **rest},
        "constant": {"model": 0.0, "marginal": 0.0, "nearest": 0.0, **rest},
    }
    assert verdict(found, fit, 50) == [
        "rare: measured at too few settings to be judged on settings held out"
    ]


# outputs


def test_train_never_replaces_lab_data(lab):
    folder = lab()
    before = digest(folder / "lab.h5")
    result = train(folder, "--force", "-o", str(folder / "lab.h5"))
    assert result.exit_code == 2
    assert "expected a name that ends in .virtlab, found '.h5'" in result.stderr
    assert digest(folder / "lab.h5") == before


def test_train_refuses_a_folder_before_it_reads(lab):
    folder = lab(y=np.full(20, np.nan))
    (folder / "m.virtlab").mkdir()
    result = train(folder, "--force", "-o", str(folder / "m.virtlab"))
    assert result.exit_code == 1
    assert "m.virtlab is a folder; choose another name with -o" in result.stderr


@pytest.mark.parametrize("content", ["hdf5", "text"])
def test_force_replaces_no_file_without_virtual_trials(tmp_path, content):
    path = tmp_path / "lab.nc"
    if content == "hdf5":
        with h5py.File(path, "w") as file:
            file["precious"] = np.arange(3)
    else:
        path.write_text("precious")
    before = digest(path)
    virtual = xr.Dataset({"y": ("trial", np.zeros(3))}, attrs={"virtual_data": 1})
    with pytest.raises(Exception, match=r"lab\.nc exists and is .*, which virtlab never deletes"):
        write_virtual_trials(virtual, path, force=True)
    assert digest(path) == before


def test_model_file_gets_the_rights_that_the_umask_leaves(tmp_path):
    before = os.umask(0o077)
    try:
        replace_whole(tmp_path / "m.virtlab", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "m.virtlab").stat().st_mode & 0o777 == 0o600


# model files


def test_zip_of_many_strangers_is_told_in_a_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.virtlab", "w") as archive:
        archive.writestr("manifest.json", "{}")
        for i in range(2000):
            archive.writestr(f"../{i}", "")
    with pytest.raises(ModelFileError, match="unexpected or repeated members") as caught:
        read_model(tmp_path / "m.virtlab")
    assert len(str(caught.value)) < 400


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no /dev/zero here")  # noqa: PTH110
def test_device_is_no_model_file():
    with pytest.raises(ModelFileError, match="/dev/zero: cannot be read: it is no regular file"):
        read_model("/dev/zero")


# the process


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_nobody(lab, closed):
    command = f"'{sys.executable}' -m virtlab inspect lab.h5 {closed}"
    result = subprocess.run(
        ["/bin/sh", "-c", command], cwd=lab(), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM of this kind")
def test_sigterm_is_as_polite_as_ctrl_c():
    code = (
        "import os, signal, click\n"
        "from virtlab.cli.group import Commands\n"
        "class One(Commands):\n"
        "    def get_command(self, *_):\n"
        "        return click.Command('go', callback=lambda: os.kill(os.getpid(), SIG))\n"
        "One(name='virtlab', table={'go': 'Ends itself.'})(['go'])\n"
    ).replace("SIG", str(int(signal.SIGTERM)))
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr.strip()) == (143, "error: terminated")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_foreign_names_and_a_bare_environment(lab, locale, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dïr 名前")
    (folder / "läb.h5").write_bytes((lab() / "lab.h5").read_bytes())
    environment = {"LC_ALL": locale, "PATH": os.environ["PATH"]}
    result = script("inspect", "läb.h5", cwd=folder, env=environment)
    assert result.returncode == 0, result.stderr
    assert "läb.h5" in result.stdout


def test_library_raises_what_the_command_line_tells(lab):
    with pytest.raises(DataError, match="all 20 trials are at one setting"):
        learnable(lab(x=np.ones(20)))
