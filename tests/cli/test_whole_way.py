"""From a lab file to virtual trials by the command line alone, on real files."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
import xarray as xr


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# train


def test_train_writes_a_model_and_says_how_good_it_is(training):
    lab, result = training
    assert result.returncode == 0, result.stderr
    assert lab.files() == ["experiment.toml", "lab.h5", "params.toml", "small_lab.virtlab"]
    assert "240 trials at 16 settings" in result.stdout
    assert re.search(r"^light +lm +[\d.]+ +[\d.]+", result.stdout, re.MULTILINE)
    assert result.stdout.endswith(f"written to {lab / 'small_lab.virtlab'}\n")


def test_train_talks_on_stderr_from_its_first_line_and_no_library_does(training):
    said = training[1].stderr.splitlines()
    assert said[0] == "reading experiment.toml"
    assert any("held-out score" in line and "left" in line for line in said)
    assert not [line for line in said if "absl" in line or re.match(r"[IWE]\d{4} ", line)]


def test_train_replaces_no_model_unasked(trained):
    before = digest(trained / "small_lab.virtlab")
    result = trained.run("train", "experiment.toml")
    assert (result.returncode, result.stdout) == (1, "")
    assert "small_lab.virtlab exists; use --force" in result.stderr
    assert digest(trained / "small_lab.virtlab") == before


def test_interrupted_train_keeps_the_best_model_so_far(lab):
    lab.edit("experiment.toml", "stop_when", "# stop_when")
    lab.edit("experiment.toml", "3 min", "5 min")
    command = [sys.executable, "-m", "virtlab", "train", "experiment.toml", "--json"]
    with subprocess.Popen(
        command, cwd=lab.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr:
            if "held-out score" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["schema_version"] == 1
    assert (lab / "small_lab.virtlab").exists()


# inspect


def test_inspect_shows_what_a_model_was_trained_on(training):
    result = training[0].invoke("inspect", "small_lab.virtlab")
    assert result.exit_code == 0
    assert "240 trials at 16 settings" in result.stdout
    assert "power 1 to 8 W, material (glass, steel)" in result.stdout


def test_inspect_shows_virtual_trials(trained):
    trained.invoke("simulate", "params.toml")
    result = trained.invoke("inspect", "virtual.nc", "--json")
    assert json.loads(result.stdout)["kind"] == "virtual"


@pytest.mark.parametrize(
    ("command", "file", "member"),
    [
        ("inspect", "small_lab.virtlab", "weights.safetensors"),
        ("inspect", "small_lab.virtlab", "reference.safetensors"),
        ("simulate", "params.toml", "generator.tflite"),
        ("simulate", "params.toml", "reference.safetensors"),
    ],
)
def test_altered_model_is_refused(trained, command, file, member):
    path = trained / "small_lab.virtlab"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        vouched = archive.comment
    members[member] = members[member][:-1] + bytes([members[member][-1] ^ 1])
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = vouched
        for name, content in members.items():
            archive.writestr(name, content)
    result = trained.invoke(command, file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "damaged or altered" in result.stderr
    assert f"{member} is not the one that was written" in result.stderr
    assert not (trained / "virtual.nc").exists()


# simulate


def test_simulate_writes_labelled_trials_and_a_summary(trained):
    result = trained.invoke("simulate", "params.toml")
    assert result.exit_code == 0
    assert result.stdout.startswith("240 virtual trials at 6 settings, seed 3; over all of them:\n")
    assert re.search(r"^light +lm( +[\d.]+){5}$", result.stdout, re.MULTILINE)
    with xr.open_dataset(trained / "virtual.nc") as virtual:
        assert virtual["light"].dims == ("power", "material", "trial")
        assert virtual["light"].attrs["units"] == "lm"
        assert dict(virtual.sizes) == {"power": 3, "material": 2, "trial": 40}
        assert virtual.attrs["virtual_data"] == 1
        assert float(virtual["light"].min()) >= 0
        assert set(np.unique(virtual["fault"].astype(str))) <= {"dark", "none"}


def test_the_model_has_learned_what_the_lab_holds(trained):
    trained.invoke("simulate", "params.toml", "--trials", "400")
    with xr.open_dataset(trained / "virtual.nc") as virtual:
        mean = virtual["light"].mean("trial")
    assert (mean.sel(power=4) > mean.sel(power=1)).all()
    assert mean.sel(power=4, material="glass") > mean.sel(power=4, material="steel")


def test_summary_as_json_agrees_with_the_file(trained):
    found = json.loads(trained.invoke("simulate", "params.toml", "--json", "-q").stdout)
    assert (found["schema_version"], found["settings"], found["trials"]) == (1, 6, 40)
    with xr.open_dataset(trained / "virtual.nc") as virtual:
        mean = float(virtual["light"].mean(dtype="f8"))
    assert found["measurements"]["light"]["mean"] == pytest.approx(mean, rel=1e-6)


def test_same_seed_gives_the_same_bytes_and_another_seed_others(trained):
    for name, options in {"a": (), "b": (), "c": ("--seed", "4")}.items():
        trained.invoke("simulate", "params.toml", "-o", trained / f"{name}.nc", *options)
    first, second, other = (digest(trained / f"{name}.nc") for name in "abc")
    assert first == second != other


def test_simulate_in_a_process_of_its_own_gives_the_same_bytes_without_tensorflow(trained):
    trained.invoke("simulate", "params.toml")
    code = (
        "import sys\n"
        "from virtlab.cli import main\n"
        "try: main(['simulate', 'params.toml', '-o', 'other.nc'])\n"
        "except SystemExit as done: assert not done.code\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'scipy.stats'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=trained.folder, check=True)
    assert digest(trained / "other.nc") == digest(trained / "virtual.nc")


def test_simulate_writes_zarr_too(trained):
    assert trained.invoke("simulate", "params.toml", "-o", trained / "v.zarr").exit_code == 0
    trained.invoke("simulate", "params.toml")
    with (
        xr.open_zarr(trained / "v.zarr", consolidated=False) as store,
        xr.open_dataset(trained / "virtual.nc") as file,
    ):
        np.testing.assert_array_equal(store["light"], file["light"])


def test_dry_run_counts_and_writes_nothing(trained):
    before = trained.files()
    plan = json.loads(trained.invoke("simulate", "params.toml", "--dry-run", "--json").stdout)
    assert (plan["settings"], plan["trials"], plan["values"]) == (6, 40, 480)
    text = trained.invoke("simulate", "params.toml", "--dry-run", "--trials", "7").stdout
    assert re.search(r"^trials +7$", text, re.MULTILINE)
    assert trained.files() == before


def test_quiet_leaves_stderr_empty(trained):
    assert trained.invoke("simulate", "params.toml", "-q").stderr == ""


def test_existing_output_is_kept_without_force(trained):
    trained.invoke("simulate", "params.toml")
    before = digest(trained / "virtual.nc")
    refused = trained.invoke("simulate", "params.toml", "--seed", "4")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert str(trained / "virtual.nc") in refused.stderr
    assert "--force" in refused.stderr
    assert digest(trained / "virtual.nc") == before
    assert trained.invoke("simulate", "params.toml", "--seed", "4", "--force").exit_code == 0
    assert digest(trained / "virtual.nc") != before


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ("power = [1, 2.5, 4]", "power = [1, 99]", 2, "99 W is outside its bounds [0, 12]"),
        ('["glass", "steel"]', '["glas"]', 2, "did you mean 'glass'?"),
        ("power =", "powr =", 2, "did you mean 'power'?"),
        ('material = ["glass", "steel"]', "", 2, "material"),
        ("trials =", "trails =", 2, "trials"),
        ("trials = 40", "trials = 4e1", 2, "trials"),
        ("small_lab.virtlab", "none.virtlab", 1, "none.virtlab"),
        ("virtual.nc", "missing/virtual.nc", 1, "missing"),
        (
            "virtual.nc",
            "virtual.csv",
            2,
            "expected a file name that ends in .nc, .zarr, .h5 or .parquet",
        ),
        ("model =", "model ==", 2, "params.toml"),
    ],
)
def test_faulty_params_are_named_and_nothing_is_written(trained, old, new, code, said):
    trained.edit("params.toml", old, new)
    before = trained.files()
    result = trained.invoke("simulate", "params.toml")
    assert said in result.stderr
    assert "internal error" not in result.stderr
    assert (result.exit_code, result.stdout) == (code, "")
    assert trained.files() == before


def test_truncated_model_is_refused(trained):
    path = trained / "small_lab.virtlab"
    path.write_bytes(path.read_bytes()[:-200])
    result = trained.invoke("simulate", "params.toml")
    assert result.exit_code == 1
    assert str(path) in result.stderr
    assert not (trained / "virtual.nc").exists()


def test_setting_outside_the_data_is_flagged(trained):
    trained.edit("params.toml", "power = [1, 2.5, 4]", "power = [4, 12]")
    result = trained.invoke("simulate", "params.toml", "--json")
    assert json.loads(result.stdout)["domain"]["outside"] == 2
    with xr.open_dataset(trained / "virtual.nc") as virtual:
        assert (virtual["domain"].sel(power=12) == "outside").all()


# bad input to train; each is refused before TensorFlow is loaded


def put(path, values, **attrs):
    """Change what a lab file holds."""

    def change(lab):
        with h5py.File(lab / "lab.h5", "a") as file:
            del file[path]
            file[path] = values
            file[path].attrs.update(attrs)

    return change


def text(old, new):
    return lambda lab: lab.edit("experiment.toml", old, new)


def only(trials):
    def change(lab):
        with h5py.File(lab / "lab.h5", "a") as file:
            for path in (f"{g}/{n}" for g in ("parameters", "measurements") for n in file[g]):
                kept = file[path][:trials]
                del file[path]
                file[path] = kept

    return change


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (lambda lab: (lab / "experiment.toml").unlink(), 2, ["experiment.toml", "no such file"]),
        (lambda lab: (lab / "lab.h5").unlink(), 1, ["lab.h5", "no such file"]),
        (lambda lab: (lab / "lab.h5").write_text("a,b\n"), 1, ["lab.h5", "HDF5"]),
        (lambda lab: (lab / "lab.h5").write_bytes(b""), 1, ["lab.h5", "empty"]),
        (text('"measurements/light"', '"measurements/lite"'), 1, ["measurements/lite", "light"]),
        (put("measurements/light", np.zeros((240, 3))), 1, ["measurements/light", "(240, 3)"]),
        (put("measurements/light", np.zeros(7)), 1, ["measurements/light", "7", "240"]),
        (put("parameters/power", ["high"] * 240), 1, ["parameters/power", "'high'"]),
        (put("measurements/light", np.full(240, np.nan)), 1, ["light", "missing"]),
        (only(9), 1, ["9", "10"]),
        (put("measurements/light", np.zeros(240), units="kg"), 1, ["kg", "lm"]),
        (text("support =", "suport ="), 2, ["measurements.light.suport", "support"]),
        (text("bounds = [0, 12]", "bounds = [0, 5]"), 1, ["power", "[0, 5]"]),
        (
            text('name = "small lab"', 'name = "x"\nconditioner = "nope"'),
            1,
            ["nope", "pip install"],
        ),
        (text('["lab.h5"]', '["lab.h5"]\nreader = "tabel"'), 1, ["tabel", "table"]),
    ],
)
def test_bad_input_to_train_is_one_clear_message(lab, change, code, said):
    change(lab)
    before = lab.files()
    result = lab.invoke("train", "experiment.toml", "-q")
    assert result.stderr.startswith("error: ")
    for part in said:
        assert part in result.stderr
    assert (result.exit_code, result.stdout) == (code, "")
    assert lab.files() == before


def test_unwritable_output_of_train_is_refused_before_reading(lab):
    result = lab.invoke("train", "experiment.toml", "-q", "-o", lab / "missing" / "m.virtlab")
    assert result.exit_code == 1
    assert f"{lab / 'missing'} does not exist" in result.stderr
