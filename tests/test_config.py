from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.config import (
    Experiment,
    parse_experiment,
    parse_params,
    read_experiment,
    read_params,
)
from virtlab.errors import ConfigError

EXPERIMENT = """
[experiment]
name = "crossed-barrel"
conditioner = "generic"

[data]
files = ["lab/*.h5"]
reader = "table"

[parameters.theta]
path = "parameters/theta"
units = "degree"
kind = "continuous"
scale = "linear"
bounds = [0, 200]

[parameters.state]
index = "parity"

[measurements.toughness]
path = "measurements/toughness"
units = "J"
support = [0, inf]
kind = "continuous"

[measurements.trace]
path = "measurements/trace"
dims = ["time"]
coords.time = { path = "axes/time", units = "s" }

[model]
preset = "auto"
[training]
seed = 0
max_time = "10 min"
stop_when = { energy_score = 0.05 }
"""

PARAMS = """
model  = "crossed_barrel.virtlab"
trials = 500
seed   = 7
output = "virtual.nc"
design = "grid"

[parameters]
n     = [6, 8, 10, 12]
theta = { start = 0, stop = 200, num = 21 }
r     = 1.8
glue  = "epoxy"

[objective]
maximize = "toughness"
require  = ["toughness > 20"]
"""

HEAD = '[experiment]\nname = "x"\n[data]\nfiles = ["a.h5"]\n'
BODY = '[parameters.p]\npath = "p"\n[measurements.m]\npath = "m"\n'


def faults(text, parse=parse_experiment):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value).split("\n")


def parameter(text):
    return faults(HEAD + "[measurements.m]\npath = 'm'\n[parameters.p]\n" + text)


def measurement(text):
    return faults(HEAD + "[parameters.p]\npath = 'p'\n[measurements.m]\n" + text)


def params(text):
    return faults('model = "m.virtlab"\n' + text, parse_params)


def test_reads_the_experiment_of_the_design(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT)
    experiment = read_experiment(path)
    assert experiment.parameters["theta"].bounds == (0, 200)
    assert experiment.measurements["toughness"].support == (0, math.inf)
    assert experiment.measurements["trace"].coords["time"].units == "s"
    assert experiment.training.max_time == 600
    assert experiment.path == path
    assert experiment.text == EXPERIMENT


def test_reads_the_params_of_the_design(tmp_path):
    path = tmp_path / "params.toml"
    path.write_text(PARAMS)
    found = read_params(path)
    assert found.parameters["n"] == [6, 8, 10, 12]
    assert found.parameters["theta"].num == 21
    assert (found.parameters["r"], found.parameters["glue"]) == (1.8, "epoxy")
    assert found.objective.require == ["toughness > 20"]


def test_one_goal_is_a_list_of_one():
    found = parse_params(
        'model = "m.virtlab"\n[objective]\nmaximize = "a"\nminimize = ["b", "c"]\n'
        'target = { "d + 1" = 3 }\nbest = [1, 2, 3, 4]'
    ).objective
    assert (found.maximize, found.minimize, found.target) == (["a"], ["b", "c"], {"d + 1": 3})
    assert found.goals == len(found.best) == 4


def test_path_is_absolute_though_given_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.toml").write_text(PARAMS)
    assert read_params("params.toml").path == tmp_path / "params.toml"


def test_objects_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse_experiment(EXPERIMENT).training.seed = 3


def test_accepts_a_byte_order_mark(tmp_path):
    path = tmp_path / "params.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PARAMS.encode())
    assert read_params(path).trials == 500


def test_tells_all_faults_of_a_file_at_once():
    lines = faults(
        '[experiment]\nnam = "x"\n[data]\nfiles = "a"\n'
        '[parameters.theta]\npath = "p"\nbounds = [1, "a"]\nkind = "cyclc"\n'
        "[measurements.theta]\npath = 3\n[training]\nseed = 1.0\n"
    )
    assert lines == [
        "experiment.toml: experiment.name: missing; it is required",
        "experiment.toml: experiment.nam: unknown key; did you mean 'name'?",
        'experiment.toml: data.files: expected a list [ … ], found "a"; write ["a"]',
        "experiment.toml: parameters.theta.kind: expected 'continuous', 'integer', 'categorical' "
        "or 'cyclic', found \"cyclc\"; did you mean 'cyclic'?",
        "experiment.toml: parameters.theta.bounds: expected two numbers [low, high]; inf and -inf "
        'are allowed, found [1, "a"]',
        "experiment.toml: measurements.theta.path: expected a text in quotes, found 3",
        "experiment.toml: training.seed: expected a whole number, found 1.0; "
        "use the whole number 1",
        "experiment.toml: measurements.theta: a parameter has the same name; rename one of them",
    ]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file; check the path"):
        read_experiment(tmp_path / "nowhere.toml")


def test_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; expected a file"):
        read_params(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n"])
def test_empty_file_lists_what_it_needs(text):
    (line,) = faults(text)
    assert line.endswith(
        "expected at least the tables experiment, data, parameters and measurements"
    )
    assert faults(text, parse_params)[0].endswith("expected at least the key model")


def test_the_other_of_both_files_is_one_fault(tmp_path):
    for text, read, meant in (
        (EXPERIMENT, read_params, "experiment.toml does, for `virtlab train`; expected a params"),
        (PARAMS, read_experiment, "params.toml does, for `virtlab simulate`; expected an exper"),
    ):
        path = tmp_path / "file.toml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=meant) as fault:
            read(path)
        assert str(fault.value).count("\n") == 0


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"\x89HDF\r\n\x1a\n", "found an HDF5 file .`virtlab init`"), (b"PK\x03\x04", "found a zip")],
)
def test_lab_data_or_a_model_in_the_place_of_a_text_is_called_so(tmp_path, start, words):
    path = tmp_path / "file"
    path.write_bytes(start + bytes(40))
    with pytest.raises(ConfigError, match=words):
        read_experiment(path)


def test_other_encoding_is_refused_with_its_line(tmp_path):
    path = tmp_path / "params.toml"
    path.write_bytes('model = "m"\n# größe\n'.encode("latin-1"))
    with pytest.raises(ConfigError, match="line 2 is not UTF-8 text; save the file with"):
        read_params(path)
    path.write_text(PARAMS, encoding="utf-16")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_params(path)


def test_large_file_is_refused_before_it_is_parsed(tmp_path):
    path = tmp_path / "params.toml"
    path.write_bytes(b"= = =" * 2**18)  # no TOML at all: the size is told, not the syntax
    with pytest.raises(ConfigError, match="larger than 1,024 KiB"):
        read_params(path)


def test_syntax_error_names_its_line():
    (line,) = faults('[experiment]\nname = "x\n')
    assert line.startswith("experiment.toml: not valid TOML: ")
    assert "line 2" in line


@pytest.mark.parametrize("text", ["a = 1\na = 2\n", "[a]\n[a]\n"])
def test_what_stands_twice_is_refused(text):
    (line,) = faults(text)
    assert "a key or table stands twice (at line 2" in line


def test_deep_nesting_is_refused():
    assert "nested too deeply" in faults("a = " + "[" * 50_000)[0]


def test_integer_of_many_digits_is_refused():
    (line,) = faults("a = " + "1" * 5000)
    assert "not valid TOML" in line
    assert len(line) < 200


def test_huge_numbers_are_refused():
    assert params("seed = 1" + "0" * 40) == [
        f"params.toml: seed: expected less than {2**63}, found a number beyond 1e20"
    ]
    assert "expected a number below 1e308" in params("[parameters]\na = 1" + "0" * 400)[0]


def test_whole_number_written_with_an_exponent_gets_its_digits():
    assert params("trials = 1e3") == [
        "params.toml: trials: expected a whole number, found 1000.0; use the whole number 1000"
    ]


@pytest.mark.parametrize("value", ["0", "-1", "10_000_000_000", "true", '"5"', "nan", "inf", "1.5"])
def test_impossible_number_of_trials_is_refused(value):
    (line,) = params(f"trials = {value}")
    assert line.startswith("params.toml: trials: expected ")


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-inf"])
def test_infinite_settings_are_refused(value):
    for text in (f"a = {value}", f"a = [1, {value}]", f"a = {{low = 0, high = {value}}}"):
        (line,) = params("[parameters]\n" + text)
        assert "expected a finite number" in line


def test_faults_of_many_keys_are_cut_short():
    lines = faults(HEAD + BODY + "".join(f"k{i} = 1\n" for i in range(80)))
    assert len(lines) == 51
    assert lines[-1] == "experiment.toml: … and 30 more"


def test_control_characters_are_not_echoed():
    assert "\x1b" not in faults(HEAD + BODY + '"\\u001b[2J" = "\\u001b[2J"\n')[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path = 'p'\nbounds = [2, 1]", "bounds: expected [low, high] with low below high"),
        ("path = 'p'\nbounds = [1, 1]", "bounds: expected [low, high] with low below high"),
        ("path = 'p'\nbounds = [nan, 1]", "bounds: expected [low, high] with low below high"),
        ("path = 'p'\nbounds = [1]", "bounds: expected two numbers"),
        ("path = 'p'\nbounds = [false, true]", "bounds: expected two numbers"),
        ("path = 'p'\nkind = 'cyclic'", 'period: missing; kind = "cyclic" needs it'),
        ("path = 'p'\nperiod = 360", 'period: only a parameter with kind = "cyclic"'),
        ("path = 'p'\nkind = 'cyclic'\nperiod = 0", "period: expected a number above 0"),
        ("path = 'p'\nkind = 'cyclic'\nperiod = inf", "period: expected a finite number"),
        ("path = 'p'\nscale = 'log'\nbounds = [0, 1]", "needs bounds above 0, found [0, 1]"),
        ("path = 'p'\nscale = 'reciprocal'\nbounds = [-1, 1]", "needs bounds without 0"),
        ("units = 'V'", "path: missing; say where the values are"),
        ("path = 'p'\nindex = 'parity'", "index: give only one of path, index, modulo"),
        ("index = 'parity'\nmodulo = 4", "modulo: give only one of path, index, modulo"),
        ("modulo = 1", "modulo: expected at least 2, found 1"),
        ("path = 'p'\nkind = 'categorical'\nscale = 'log'", "scale: a categorical parameter"),
        ("path = 'p'\nkind = 'categorical'\nbounds = [0, 1]", "bounds: a categorical parameter"),
        ("index = 'parity'\nbounds = [0, 1]", "bounds: a categorical parameter has no bounds"),
        ("path = 'p'\nkind = 'cyclic'\nperiod = 1\nscale = 'log'", "scale: a cyclic parameter"),
        ("path = ''", "path: expected a text that is not empty"),
        ("path = 'p'\nunits = '10**10**10'", "units: expected a unit such as"),
        ("path = 'p'\nunits = '__import__(\"os\")'", "units: expected a unit such as"),
        ("path = 'p'\nboundz = [0, 1]", "boundz: unknown key; did you mean 'bounds'?"),
    ],
)
def test_refuses_parameter(text, message):
    (line,) = parameter(text)
    assert line.startswith("experiment.toml: parameters.p.")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path = 'm'\nsupport = [1, 0]", "support: expected [low, high] with low below high"),
        ("path = 'm'\ndims = ['t', 't']", "dims: 't' stands in it twice"),
        ("path = 'm'\ndims = ['trial']", "dims[item 1]: the name 'trial' is reserved"),
        ("path = 'm'\ndims = ['p']", "dims: a parameter is named 'p', too; rename the dim"),
        ("path = 'm'\ndims = ['m']", "dims: a measurement is named 'm', too; rename the dim"),
        (
            "path = 'm'\ndims = ['time']\ncoords.tme.path = 't'",
            "coords.tme: no such dim; did you mean 'time'?",
        ),
        ("path = 'm'\ncoords.time.path = 't'", "coords.time: no such dim; list it in dims"),
        ("path = 'm'\ndims = ['t']\ncoords.t.unit = 's'", "coords.t.path: missing"),
        ("path = 'm'\ndims = ['t']\ntrial_dim = 2", "trial_dim: expected an axis from 0 to 1"),
        ("path = 'm'\nkind = 'categorical'\nsupport = [0, 1]", "has no support; remove the key"),
        ("path = 'm'\nkind = 'count'\nsupport = [-2, -1]", "support: a count is never below 0"),
        ("path = 'm'\nsum = -1", "sum.total: expected a number above 0, or the parameter"),
        ("path = 'm'\nsum = true", "sum.total: expected a number above 0, or the parameter"),
        ("path = 'm'\nsum = 'pp'", "sum: no parameter is named 'pp'; did you mean 'p'?"),
        ("path = 'm'\nsum = {total = 1, dim = 't'}", "sum.dim: the measurement has no dim 't'"),
        ("path = 'm'\nsum = {total = 1, tolerance = 2}", "sum.tolerance: expected less than 1"),
        (
            "path = 'm'\ndims = ['t']\nmonotone = {dim = 'time'}",
            "monotone.dim: the measurement has",
        ),
        (
            "path = 'm'\ndims = ['t']\nmonotone = {dim = 't', direction = 'up'}",
            "monotone.direction: expected 'increasing' or 'decreasing'",
        ),
        (
            "path = 'm'\ndims = ['t']\nsum = 1\nmonotone = {dim = 't'}",
            "monotone: a measurement has a sum or is monotone, not both",
        ),
    ],
)
def test_refuses_measurement(text, message):
    line = measurement(text)[0]
    assert line.startswith("experiment.toml: measurements.m.")
    assert message in line


def test_image_may_have_two_dimensional_coordinates_of_any_name():
    text = HEAD + BODY + "dims = ['y', 'x']\ncoords.x.path = 'x'\ncoords.longitude.path = 'l'\n"
    assert set(parse_experiment(text).measurements["m"].coords) == {"x", "longitude"}


def test_infinite_bounds_and_support_are_allowed():
    text = HEAD + BODY + "support = [-inf, 0]\n"
    text = text.replace('path = "p"', "path = 'p'\nbounds = [0, inf]")
    experiment = parse_experiment(text)
    assert experiment.parameters["p"].bounds == (0, math.inf)
    assert experiment.measurements["m"].support == (-math.inf, 0)


def test_coordinate_of_two_measurements_is_one_thing():
    text = HEAD + BODY + "dims = ['t']\ncoords.t.path = 'a'\n"
    text += "[measurements.n]\npath = 'n'\ndims = ['t']\ncoords.t.path = "
    assert faults(text + "'b'") == [
        "experiment.toml: measurements.n.coords.t: differs from measurements.m.coords.t; "
        "rename one dim"
    ]
    assert parse_experiment(text + "'a'")


@pytest.mark.parametrize("name", ["trial", "setting", "member", "domain", "domain_distance"])
def test_reserved_names_are_refused(name):
    for table in ("parameters", "measurements"):
        lines = faults(HEAD + BODY + f"[{table}.{name}]\npath = 'x'\n")
        assert f"{table}.{name}: the name '{name}' is reserved" in lines[0]


def test_names_are_identifiers():
    (line,) = faults(HEAD + BODY + "[parameters.'th eta']\npath = 'x'\n")
    assert line.startswith('experiment.toml: parameters."th eta": expected a name of letters')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("reader = 'groups'", 'groups: missing; the reader "groups" needs it'),
        ("groups = '/shots/*'", 'groups: the reader "table" has no groups'),
        ("grid = ['q']", "grid: no parameter is named 'q'; known: p"),
        ("grid = ['p', 'p']", "grid: 'p' stands in it twice"),
        ("missing = [nan]", "missing[item 1]: expected a finite number"),
    ],
)
def test_refuses_data(data, message):
    (line,) = faults(HEAD + data + "\n" + BODY)
    assert line.startswith(f"experiment.toml: data.{message}")


@pytest.mark.parametrize("duration", ["10 parsec", "min", "-3 s", "1e99 h", ""])
def test_refuses_duration(duration):
    (line,) = faults(HEAD + BODY + f"[training]\nmax_time = '{duration}'\n")
    assert 'expected a duration such as "90 s", "10 min" or "2 h"' in line


@pytest.mark.parametrize(("text", "seconds"), [("'90 s'", 90), ("'1.5h'", 5400), ("30", 30)])
def test_durations_become_seconds(text, seconds):
    made = parse_experiment(HEAD + BODY + f"[training]\nmax_time = {text}\n")
    assert made.training.max_time == seconds


@pytest.mark.parametrize("size", ["10", "512 MiB", "-1 GB", "10 TB", ""])
def test_refuses_memory(size):
    (line,) = faults(HEAD + BODY + f"[training]\nmemory = '{size}'\n")
    assert 'expected a size such as "512 MB" or "2 GB"' in line


@pytest.mark.parametrize(("text", "found"), [("'1.5GB'", 1_500_000_000), ("2000", 2000)])
def test_memory_becomes_bytes(text, found):
    made = parse_experiment(HEAD + BODY + f"[training]\nmemory = {text}\n")
    assert made.training.memory == found


def test_no_tables_where_tables_belong():
    assert faults(HEAD + "[parameters]\n[measurements]\n") == [
        "experiment.toml: parameters: expected at least one entry, found a table",
        "experiment.toml: measurements: expected at least one entry, found a table",
    ]
    assert "parameters: expected a table, found 3" in faults("parameters = 3\n" + HEAD)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("design = 'sobol'", 'size: missing; design = "sobol" needs it'),
        ("design = 'latin-hypercube'", "size: missing"),
        ("size = 3", 'size: design = "grid" has no size'),
        ("design = 'table'", "file: missing"),
        ("design = 'zip'\nfile = 'a.csv'", 'file: design = "zip" reads no file'),
        ("design = 'sobl'", "design: expected 'grid', 'zip', 'sobol', 'latin-hypercube' or"),
        (
            "output = 'virtual.csv'",
            "output: expected a file name that ends in .nc, .zarr, .h5 or .parquet",
        ),
        ("model_ = 1", "model_: unknown key; did you mean 'model'?"),
        ("[objective]", "objective: expected maximize, minimize, target or require"),
        ("[objective]\nmaximize = 'a'\nminimize = 'a'", "objective: 'a' stands in it twice"),
        ("[objective]\nmaximize = 'a'\nbest = [1, 2]", "objective.best: expected a number for"),
        ("[objective]\nmaximize = ['a', 'b']\nthreshold = 1", "needs exactly one goal, found 2"),
        ("[objective]\nmaximize = 3", "objective.maximize[item 1]: expected a text"),
        ("[objective]\ntarget = 3", "objective.target: expected a table"),
        ("[objective]\nmaximize = 'a'\npower = 1.5", "objective.power: expected at most 0.99"),
    ],
)
def test_refuses_params(text, message):
    (line,) = params(text)
    assert message in line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{ start = 0, stop = 1 }", "a.num: missing; say how many values, or give a step"),
        ("{ start = 0, stop = 1, num = 2, step = 1 }", "a.step: give num or step, not both"),
        ("{ start = 0, stop = 1, num = 1 }", "a.num: one value cannot reach"),
        ("{ start = 0, stop = 1, num = 2.0 }", "a.num: expected a whole number, found 2.0"),
        ("{ start = 0, stop = 1, step = 0 }", "a.step: steps of 0 never lead from 0 to 1"),
        ("{ start = 0, stop = 1, step = -1 }", "a.step: steps of -1 never lead from 0 to 1"),
        ("{ start = 0, stop = 1, step = 1e-9 }", "a.step: steps of 1e-09 are too many"),
        ("{ start = 0, stop = 1, num = 3, scale = 'log' }", 'scale = "log" needs values above 0'),
        ("{ start = 1, stop = 2, step = 1, scale = 'log' }", "takes num, not step"),
        ("{ start = 0, num = 2 }", "a.stop: missing"),
        ("{ start = 0, high = 1 }", "expected start, stop and num (or step), or low and high"),
        ("{ low = 0 }", "a.high: missing"),
        ("{ low = 1, high = 1 }", "expected low below high, found 1 and 1"),
        ("{ low = 0, high = 1, scale = 'log' }", 'a.low: scale = "log" needs values above 0'),
        ("{ strt = 0 }", "a.strt: unknown key; did you mean 'start'?"),
        ("{}", "a.start: missing"),
        ("[]", "a: expected at least one entry"),
        ("[1, 'b']", "a: expected numbers only or texts only"),
        ("[1, true]", "a: expected numbers only or texts only"),
        ("[[1]]", "a[item 1]: expected a number or a text in quotes"),
        ("2026-01-01", "a: expected a number or a text in quotes, found 2026-01-01"),
    ],
)
def test_refuses_values(value, message):
    (line,) = params(f"[parameters]\na = {value}")
    assert line.startswith("params.toml: parameters.a")
    assert message in line


def test_experiment_made_in_python_is_checked_like_a_file():
    with pytest.raises(ValueError, match="same name"):
        Experiment.model_validate(
            {
                "experiment": {"name": "x"},
                "data": {"files": ["a"]},
                "parameters": {"p": {"path": "p"}},
                "measurements": {"p": {"path": "p"}},
            }
        )


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_is_understood_or_refused(text):
    for parse in (parse_experiment, parse_params):
        with pytest.raises(ConfigError):
            parse(text)


SNIPPETS = ["[", "]", '"', "=", "\n", "inf", "nan", "-1", "{}", "[[1]]", "''", "1e400", "#", "."]


@given(st.integers(0, len(EXPERIMENT)), st.integers(0, 30), st.sampled_from(SNIPPETS))
@settings(max_examples=300, deadline=None)
def test_damaged_experiment_is_understood_or_refused(start, length, snippet):
    text = EXPERIMENT[:start] + snippet + EXPERIMENT[start + length :]
    try:
        told = parse_experiment(text).text
    except ConfigError as error:
        told = str(error)
    assert told == text or "experiment.toml: " in told
    assert "Input should" not in told


def test_import_is_light():
    code = (
        "import sys, virtlab.config; "
        "print([m for m in ('xarray', 'h5py', 'scipy', 'pint', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
