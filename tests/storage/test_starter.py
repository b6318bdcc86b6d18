import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtlab.config import Experiment
from virtlab.errors import ConfigError, DataError, OutputError
from virtlab.storage.lab import open_trials
from virtlab.storage.starter import starter, write_starter

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="shared data are not here")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def lab(tmp_path):
    return tmp_path / "lab.h5"


def started(paths, folder):
    """The starter's tables, its text, and the trials that it reads."""
    output = write_starter(paths, folder / "experiment.toml")
    text = output.read_text(encoding="utf-8")
    Experiment.model_validate(tomllib.loads(text))
    return tomllib.loads(text), text, open_trials(output)


def write_table(path, rng, rows=60):
    with h5py.File(path, "w") as file:
        settings = np.repeat(np.linspace(1, 3, rows // 3), 3)
        file.create_dataset("parameters/width", data=settings).attrs["units"] = "mm"
        file["parameters/shape"] = ["round", "square"] * (rows // 2)
        file.create_dataset("parameters/holes", data=np.arange(rows) % 4)
        trace = file.create_dataset("measurements/trace", data=rng.normal(size=(rows, 25)))
        trace.attrs["units"] = "mV"
        force = np.maximum(0, rng.normal(size=rows))
        file.create_dataset("measurements/force", data=force).attrs["units"] = "N"
        file.create_dataset("axes/time", data=np.linspace(0, 1, 25)).attrs["units"] = "ms"
        for fold in range(20):
            file[f"splits/{fold}/test"] = np.arange(6)


def test_named_groups_tell_parameters_from_measurements(lab, tmp_path, rng):
    write_table(lab, rng)
    found, text, trials = started([lab], tmp_path)
    assert found["data"] == {"files": ["lab.h5"], "reader": "table"}
    assert list(found["parameters"]) == ["holes", "shape", "width"]
    assert found["parameters"]["width"] == {
        "path": "parameters/width",
        "units": "mm",
        "kind": "continuous",
    }
    assert found["parameters"]["shape"]["kind"] == "categorical"
    assert found["parameters"]["holes"]["kind"] == "integer"
    assert found["measurements"]["trace"]["dims"] == ["time"]
    assert found["measurements"]["trace"]["coords"] == {
        "time": {"path": "axes/time", "units": "ms"}
    }
    assert "2 categories: round, square" in text
    assert "are exactly zero" in text
    assert "# support = [0, inf]" in text
    assert trials.sizes == {"trial": 60, "time": 25}


def test_replicates_are_counted(lab, tmp_path):
    with h5py.File(lab, "w") as file:
        file["settings/a"] = np.repeat([1.0, 2.0, 3.0, 4.5], 5)
        file["results/y"] = np.arange(20) ** 0.5
    _, text, _ = started([lab], tmp_path)
    assert "# 20 trials at 4 settings, 5 replicates each" in text


def test_parameter_that_never_varies_is_left_out_and_told(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(30)
        file["parameters/lab"] = np.full(30, 7.0)
        file["measurements/y"] = rng.random(30)
    found, text, _ = started([lab], tmp_path)
    assert list(found["parameters"]) == ["a"]
    assert "parameters/lab: it is 7.0 in every trial" in text


def test_values_decide_where_names_do_not(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["heat"] = np.repeat([1.0, 2.0, 3.0], 10)
        file["gas"] = ["Ar", "N2", "He"] * 10
        file["out"] = rng.normal(size=30)
        file["image"] = rng.normal(size=(30, 4, 5))
    found, _, trials = started([lab], tmp_path)
    assert sorted(found["parameters"]) == ["gas", "heat"]
    assert sorted(found["measurements"]) == ["image", "out"]
    assert len(found["measurements"]["image"]["dims"]) == 2
    assert trials["image"].shape == (30, 4, 5)


def test_columns_named_by_an_attribute_become_table_and_column(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        table = file.create_dataset("Experimental Data/Data", data=rng.normal(size=(40, 3)))
        table[:, 0] = np.linspace(0, 2, 40) ** 2
        table.attrs["column_names"] = ["Time (s)", "raw w0 (V)", "S21 (arb. unit)"]
    found, text, trials = started([lab], tmp_path)
    assert found["parameters"]["Time"] == {
        "path": "Experimental Data/Data:Time",
        "units": "s",
        "kind": "continuous",
    }
    assert found["measurements"]["raw_w0"]["path"] == "Experimental Data/Data:raw w0"
    assert "arb. unit" in text
    assert set(trials.data_vars) == {"raw_w0", "S21"}


def test_fields_of_a_compound_become_table_and_column(lab, tmp_path, rng):
    rows = np.zeros(30, dtype=[("power", "f8"), ("kind", "S3"), ("y", "f4"), ("n", "i4")])
    rows["power"], rows["y"] = np.repeat(np.arange(3.0), 10), rng.normal(size=30)
    rows["kind"], rows["n"] = [b"a", b"bb"] * 15, rng.poisson(3, 30)
    with h5py.File(lab, "w") as file:
        file["shots"] = rows
    found, _, trials = started([lab], tmp_path)
    assert found["parameters"]["power"]["path"] == "shots:power"
    assert found["parameters"]["kind"]["kind"] == "categorical"
    assert "y" in found["measurements"]
    assert trials.sizes["trial"] == 30


def test_columns_of_few_repeated_values_are_settings_and_what_follows_a_result_is_one(
    lab, tmp_path, rng
):
    fields = [("heat", "f8"), ("acid", "f8"), ("gas", "S2"), ("y", "f8"), ("clicks", "i4")]
    rows = np.zeros(90, dtype=[*fields, ("looks", "S5")])
    rows["heat"], rows["acid"] = np.repeat(np.arange(5.0), 18), np.tile([0.05, 0.1, 0.3], 30)
    rows["gas"], rows["looks"] = [b"Ar", b"He"] * 45, [b"clear", b"dull", b"clear"] * 30
    rows["y"], rows["clicks"] = rng.normal(size=90), np.r_[20, rng.poisson(3, 89)]
    with h5py.File(lab, "w") as file:
        file["wells"] = rows
    found, _, _ = started([lab], tmp_path)
    assert list(found["parameters"]) == ["heat", "acid", "gas"]
    assert list(found["measurements"]) == ["y", "clicks", "looks"]
    assert found["measurements"]["looks"]["kind"] == "categorical"


def test_whole_numbers_are_a_guess_unless_they_are_stored_as_such(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/layers"] = np.repeat(np.arange(5), 6)
        file["parameters/heat"] = np.repeat(np.arange(300.0, 305.0), 6)
        file["measurements/y"] = rng.random(30)
    found, text, _ = started([lab], tmp_path)
    assert found["parameters"]["layers"]["kind"] == "integer"
    assert found["parameters"]["heat"]["kind"] == "continuous"
    assert text.count('# kind = "integer"') == 1


def test_enums_and_booleans_are_categorical(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        states = h5py.enum_dtype({"OFF": 0, "ON": 1}, basetype="i1")
        file.create_dataset("parameters/valve", data=np.arange(20) % 2, dtype=states)
        file["parameters/open"] = np.arange(20) % 3 == 0
        file["measurements/flow"] = rng.random(20)
    found, text, _ = started([lab], tmp_path)
    assert found["parameters"]["valve"]["kind"] == "categorical"
    assert found["parameters"]["open"]["kind"] == "categorical"
    assert "OFF, ON" in text


def test_counts_are_counts(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(20)
        file.create_dataset("measurements/clicks", data=rng.poisson(4, 20))
    found, _, _ = started([lab], tmp_path)
    assert found["measurements"]["clicks"]["kind"] == "count"


def test_whole_numbers_in_a_float_dataset_are_taken_for_counts(lab, tmp_path, rng):
    whole = rng.poisson(4, 20).astype(float)
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(20)
        file["measurements/clicks"] = whole
        file["measurements/length"] = whole
        file["measurements/length"].attrs["units"] = "mm"
        file["measurements/passed"] = np.arange(20) % 2.0
    found, text, _ = started([lab], tmp_path)
    kinds = {name: table.get("kind") for name, table in found["measurements"].items()}
    assert kinds == {"clicks": "count", "length": None, "passed": None}
    assert 'kind = "count"         # all values are whole; "continuous" if' in text
    assert text.count('# kind = "count"       # if it counts something') == 1  # of the length


def test_trial_axis_that_is_not_the_first_is_found(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(20)
        file["measurements/y"] = rng.random(20)
        file["measurements/trace"] = rng.random((7, 20))
    found, _, trials = started([lab], tmp_path)
    assert found["measurements"]["trace"]["trial_dim"] == 1
    assert trials["trace"].shape == (20, 7)


def test_scales_that_hdf5_attaches_become_coordinates(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(20)
        file["measurements/y"] = rng.random((20, 6))
        file["elsewhere"] = np.linspace(0, 1, 6)
        file["decoy"] = np.linspace(0, 9, 6)
        file["elsewhere"].make_scale()
        file["measurements/y"].dims[1].attach_scale(file["elsewhere"])
    found, _, _ = started([lab], tmp_path)
    assert found["measurements"]["y"]["coords"]["elsewhere"]["path"] == "elsewhere"


def write_nexus(path, rng, shape, names, *, old=False):
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "b"})
        decoy = entry.create_group("a")
        decoy.attrs.update({"NX_class": "NXdata", "signal": "x"})
        decoy["x"] = rng.random(50)
        data = entry.create_group("b")
        data.attrs["NX_class"] = "NXdata"
        data["counts"] = rng.poisson(5, shape)
        for name, size in zip(names, shape, strict=True):
            data[name] = np.linspace(0, 1, size)
            data[name].attrs["units"] = "mm"
        if old:
            data["counts"].attrs["signal"] = 1
            data["counts"].attrs["axes"] = ":".join(names)
        else:
            data.attrs.update({"signal": "counts", "axes": list(names)})


@pytest.mark.parametrize("old", [False, True])
def test_nexus_signal_and_axes_are_followed(lab, tmp_path, rng, old):
    write_nexus(lab, rng, (15, 8), ("pressure", "angle"), old=old)
    found, _, trials = started([lab], tmp_path)
    assert found["parameters"]["pressure"]["path"] == "entry/b/pressure"
    assert found["measurements"]["counts"]["dims"] == ["angle"]
    assert found["measurements"]["counts"]["coords"]["angle"]["units"] == "mm"
    assert trials.sizes == {"trial": 15, "angle": 8}


def test_small_scan_becomes_a_grid(lab, tmp_path, rng):
    write_nexus(lab, rng, (4, 5, 6), ("u", "v", "w"))
    found, _, trials = started([lab], tmp_path)
    assert found["data"]["grid"] == ["u", "v"]
    assert trials.sizes == {"trial": 20, "w": 6}


def test_signal_that_lies_in_a_lost_file_is_told(lab):
    with h5py.File(lab, "w") as file:
        data = file.create_group("mic")
        data.attrs.update({"NX_class": "NXdata", "signal": "data"})
        data["data"] = h5py.ExternalLink("lost.hdf5", "/data")
        data["x"] = np.arange(5.0)
    with pytest.raises(DataError, match=r"without /mic/data.*which is not there: lost\.hdf5"):
        starter([lab])


def test_groups_alike_become_one_trial_each(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        for number in range(30):
            shot = file.create_group(f"run/shots/shot_{number}")
            shot.attrs.update({"power": rng.random(), "gas": "Ar" if number % 2 else "He"})
            trace = shot.create_dataset("trace", data=rng.random(12))
            trace.attrs["units"] = "mV"
            shot["time"] = np.linspace(0, 1, 12)
            shot["time"].attrs["units"] = "s"
        file["run/comment"] = "test"
    found, text, trials = started([lab], tmp_path)
    assert found["data"]["reader"] == "groups"
    assert found["data"]["groups"] == "/run/shots/*"
    assert found["parameters"]["power"]["path"] == "@power"
    assert found["parameters"]["gas"]["kind"] == "categorical"
    assert found["measurements"]["trace"]["coords"]["time"] == {"path": "time", "units": "s"}
    assert "30 groups alike" in text
    assert trials.sizes == {"trial": 30, "time": 12}


def test_in_a_group_per_trial_attributes_are_settings_and_datasets_results(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        for number in range(60):
            shot = file.create_group(f"shots/{number:03}")
            shot.attrs.update({"drag": rng.random(), "number": number})
            shot["overshoot"], shot["range"] = rng.random(), number % 3
            shot["position"] = rng.random(8)
    found, text, _ = started([lab], tmp_path)
    assert sorted(found["parameters"]) == ["drag", "range"]
    assert sorted(found["measurements"]) == ["overshoot", "position"]
    assert "@number: it only numbers the groups" in text
    assert "60 groups alike in lab.h5" in text
    assert "values below are those of the first 50" in text


def test_in_a_group_per_trial_a_dataset_stays_a_setting_where_nothing_else_is(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        for number in range(20):
            file[f"shots/{number}/power"] = rng.random()
            file[f"shots/{number}/trace"] = rng.random(8)
    found, _, _ = started([lab], tmp_path)
    assert list(found["parameters"]) == ["power"]
    assert list(found["measurements"]) == ["trace"]


def test_setting_in_the_name_of_each_file_is_a_parameter(tmp_path, rng):
    paths = []
    for phase in range(0, 360, 60):
        path = tmp_path / f"1828_readout_{phase}_10.00.hdf5"
        with h5py.File(path, "w") as file:
            file.create_group("Instrument settings/lutman").attrs["phi"] = str(float(phase))
            file["Instrument settings/lutman"].attrs["uptime"] = str(rng.random())
            rows = rng.normal(size=(200, 2))
            rows[:, 0] = np.arange(200)
            rows[::2, 1] += 2
            data = file.create_dataset("Experimental Data/Data", data=rows)
            data.attrs["column_names"] = ["pts (arb. unit)", "w0 (V)"]
        paths.append(path)
    found, text, trials = started(paths, tmp_path)
    assert found["data"]["files"] == ["*.hdf5"]
    assert found["data"]["reader"] == "files"
    assert found["parameters"]["phi"]["path"] == "Instrument settings/lutman@phi"
    assert found["parameters"]["state"] == {"index": "parity"}
    assert list(found["measurements"]) == ["w0"]
    assert "it only numbers the rows" in text
    assert "uptime: varies between files" in text
    assert trials.sizes["trial"] == 1200


def test_one_trial_per_file(tmp_path, rng):
    paths = []
    for number in range(12):
        path = tmp_path / f"run{number}.h5"
        with h5py.File(path, "w") as file:
            file["settings/power"] = 2.0 * rng.random()
            file["settings/power"].attrs["units"] = "W"
            file["time"] = np.linspace(0, 1, 50)
            file["trace"] = rng.normal(size=50)
        paths.append(path)
    found, _, trials = started(paths, tmp_path)
    assert found["data"]["reader"] == "files"
    assert list(found["parameters"]) == ["power"]
    assert found["measurements"]["trace"]["dims"] == ["time"]
    assert trials.sizes == {"trial": 12, "time": 50}


def test_files_with_tables_of_their_own_are_one_table(tmp_path, rng):
    paths = [tmp_path / f"day{day}.h5" for day in range(3)]
    for path in paths:
        with h5py.File(path, "w") as file:
            file["parameters/a"] = rng.random(20)
            file["measurements/y"] = rng.random(20)
            file.attrs["operator_age"] = rng.random()
    found, _, trials = started(paths, tmp_path)
    assert found["data"]["reader"] == "table"
    assert trials.sizes["trial"] == 60


def test_files_are_named_relative_to_the_starter(tmp_path, rng):
    (tmp_path / "lab").mkdir()
    (tmp_path / "setup").mkdir()
    write_table(tmp_path / "lab" / "day [1].h5", rng)
    found, _, trials = started([tmp_path / "lab" / "day [1].h5"], tmp_path / "setup")
    assert found["data"]["files"] == ["../lab/day [1].h5"]
    assert trials.sizes["trial"] == 60


@pytest.mark.parametrize("folder", ["dial", "dial/lab", "dial/raw/../data"])
def test_experiment_is_named_by_a_folder_whose_name_says_something(tmp_path, rng, folder):
    here = tmp_path / folder
    (tmp_path / "dial" / "raw").mkdir(parents=True)
    here.mkdir(exist_ok=True)
    paths = [here / "monday.h5", here / "tuesday.h5"]
    for path in paths:
        write_table(path, rng)
    found, _, _ = started(paths, tmp_path)
    assert found["experiment"]["name"] == "dial"


def test_same_names_in_two_groups_get_names_of_their_own(lab, tmp_path, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/laser/power"] = rng.random(20)
        file["parameters/pump/power"] = rng.random(20)
        file["measurements/power"] = rng.random(20)
        file["measurements/trial"] = rng.random(20)
        file["measurements/2nd peak"] = rng.random(20)
    found, _, _ = started([lab], tmp_path)
    assert list(found["parameters"]) == ["power", "pump_power"]
    assert set(found["measurements"]) == {"_2nd_peak", "measurements_power", "measurements_trial"}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.text(min_size=1, max_size=12).filter(
            lambda name: "/" not in name and "\0" not in name and name not in (".", "..")
        ),
        min_size=3,
        max_size=3,
        unique=True,
    ),
    st.text(max_size=20).filter(lambda text: "\0" not in text),
)
def test_whatever_stands_in_a_file_the_starter_is_valid(tmp_path, names, units):
    path = tmp_path / "odd.h5"
    try:
        with h5py.File(path, "w") as file:
            for name in names[:2]:
                data = file.create_dataset(f"parameters/{name}", data=np.arange(12.0) ** 2)
                data.attrs["units"] = units
            file[f"measurements/{names[2]}"] = np.arange(12.0) ** 0.5
    except UnicodeEncodeError:
        return
    text = starter([path])
    found = Experiment.model_validate(tomllib.loads(text))
    assert len(found.parameters) == 2
    assert {each.path for each in found.parameters.values()} == {
        f"parameters/{name}" for name in names[:2]
    }


def test_data_that_are_too_large_to_look_at_are_named_all_the_same(lab, rng):
    with h5py.File(lab, "w") as file:
        file["parameters/a"] = rng.random(20)
        file.create_dataset("measurements/huge", (20, 2**20, 2**20), "f8", chunks=(1, 64, 64))
    found = tomllib.loads(starter([lab]))
    assert len(found["measurements"]["huge"]["dims"]) == 2


def test_nothing_to_make_a_starter_of_is_said_with_what_was_found(lab):
    with h5py.File(lab, "w") as file:
        file["short"] = np.arange(4.0)
        file["note"] = "hello"
    with pytest.raises(DataError, match=r"no starter can be made: found arrays /short \(4,\)"):
        starter([lab])


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n"])
def test_what_is_no_hdf5_is_refused(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.csv"):
        starter([tmp_path / "x.csv"])


def test_no_files_are_refused():
    with pytest.raises(ConfigError, match="no lab files"):
        starter([])


def test_never_overwrites(lab, tmp_path, rng):
    write_table(lab, rng)
    output = tmp_path / "experiment.toml"
    output.write_text("mine")
    with pytest.raises(OutputError, match="exists and is left as it is"):
        write_starter([lab], output)
    assert output.read_text() == "mine"
    with pytest.raises(OutputError, match="does not exist; create it first"):
        write_starter([lab], tmp_path / "nowhere" / "experiment.toml")


@needs_shared
@pytest.mark.parametrize(
    ("name", "parameters", "measurements", "trials"),
    [
        ("crossed_barrel", "n r t theta", "toughness", 1800),
        ("meats", "fat protein water", "absorbance", 215),
        ("direct_arylation", "base concentration ligand solvent temperature", "yield", 1728),
        ("battery", "C1 C2 C3", "cycle_life", 45),
        (
            "concrete",
            "age cement coarse_aggregate fine_aggregate fly_ash slag superplasticizer water",
            "strength",
            1030,
        ),
        ("power_plant", "humidity pressure temperature vacuum", "output", 9568),
        ("stxm", "theta", "data", 52),
        ("ssro_angle", "M_phi_R0 state", "raw_w0 raw_w1", 49104),
    ],
)
def test_starter_for_real_data_is_right_as_it_stands(
    tmp_path, name, parameters, measurements, trials
):
    paths = sorted(path for path in (SHARED / name).iterdir() if path.is_file())
    found, _, read = started(paths, tmp_path)
    assert sorted(found["parameters"]) == parameters.split()
    assert sorted(found["measurements"]) == measurements.split()
    assert read.sizes["trial"] == trials


@needs_shared
def test_every_real_file_gives_a_valid_starter_or_a_reason():
    files = [*(SHARED / "layouts").iterdir(), *(SHARED / "pycqed_sweeps").glob("*.hdf5")]
    lost = SHARED / "layouts" / "p45-1168.nxs"
    for path in files:
        if path != lost:
            Experiment.model_validate(tomllib.loads(starter([path])))
    with pytest.raises(DataError, match="which is not there"):
        starter([lost])
