from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.config import parse_params
from virtlab.design import Design, design_from, make_design
from virtlab.errors import ConfigError, SettingError

A = Parameter("a", units="V", bounds=(0, 1))
GLUE = Parameter("glue", kind="categorical", categories=("epoxy", "hot", "1"))
N = Parameter("n", kind="integer")
PARAMETERS = (A, GLUE, N)
REST = 'glue = "hot"\nn = 1\n'


def design(text, parameters=PARAMETERS, folder="."):
    return make_design(parse_params('model = "m"\n' + text, f"{folder}/params.toml"), parameters)


def fault(text, parameters=PARAMETERS, folder="."):
    with pytest.raises(ConfigError) as caught:
        design(text, parameters, folder)
    return str(caught.value)


def table(tmp_path, csv, text="", encoding="utf-8"):
    (tmp_path / "candidates.csv").write_bytes(csv.encode(encoding))
    return design(f'design = "table"\nfile = "candidates.csv"\n{text}', folder=tmp_path)


def table_fault(tmp_path, csv, text=""):
    with pytest.raises(ConfigError) as caught:
        table(tmp_path, csv, text)
    return str(caught.value)


def test_grid_combines_all_values_last_parameter_fastest():
    found = design('[parameters]\nn = [1, 2]\nglue = ["hot", "epoxy"]\na = 0.5\n')
    assert found.size == 4
    assert found.settings["n"].tolist() == [1, 1, 2, 2]
    assert found.settings["glue"].tolist() == ["hot", "epoxy", "hot", "epoxy"]
    assert found.settings["a"].tolist() == [0.5] * 4


def test_grid_names_the_parameters_that_vary_outermost_first():
    found = design('[parameters]\nn = [2, 1]\nglue = ["hot"]\na = [0, 1]\n')
    assert list(found.axes) == ["n", "a"]
    assert found.axes["n"].tolist() == [2, 1]
    assert list(found.settings) == ["a", "glue", "n"]  # the experiment's order


def test_grid_reshapes_onto_its_axes():
    found = design('[parameters]\nn = [1, 2, 3]\nglue = ["hot", "epoxy"]\na = [0, 1]\n')
    shape = [len(axis) for axis in found.axes.values()]
    for number, (name, axis) in enumerate(found.axes.items()):
        along = np.moveaxis(found.settings[name].reshape(shape), number, -1)
        assert (along == axis).all()


def test_constants_alone_are_one_setting():
    found = design("[parameters]\na = 0.5\n" + REST)
    assert (found.size, found.axes) == (1, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{ start = 0, stop = 1, num = 3 }", [0, 0.5, 1]),
        ("{ start = 1, stop = 0, num = 2 }", [1, 0]),
        ("{ start = 0, stop = 0.3, step = 0.1 }", [0, 0.1, 0.2, 0.3]),
        ("{ start = 0.7, stop = 0.1, step = -0.2 }", [0.7, 0.5, 0.3, 0.1]),
        ("{ start = 0, stop = 1, step = 0.4 }", [0, 0.4, 0.8]),
        ("{ start = 0, stop = 1, step = 0.3333333333333334 }", None),
    ],
)
def test_range_takes_the_values_that_a_person_would_write(given, expected):
    found = design(f"[parameters]\na = {given}\n{REST}").axes["a"].tolist()
    if expected is None:  # the stop is missed by rounding only
        assert len(found) == 4
        assert found[-1] == 1
    else:
        assert found == expected


def test_log_range_has_equal_ratios():
    found = design(
        f"[parameters]\na = {{ start = 0.01, stop = 1, num = 3, scale = 'log' }}\n{REST}"
    )
    np.testing.assert_allclose(found.axes["a"], [0.01, 0.1, 1], rtol=1e-12)


def test_zip_takes_values_together():
    found = design('design = "zip"\n[parameters]\na = [0, 1]\nn = [5, 6]\nglue = "hot"\n')
    assert found.axes == {}
    assert list(zip(*found.settings.values(), strict=True)) == [(0, "hot", 5), (1, "hot", 6)]


def test_zip_refuses_lists_of_different_lengths():
    told = fault('design = "zip"\n[parameters]\na = [0, 1]\nn = [5, 6, 7]\nglue = "hot"\n')
    assert told.startswith('params.toml: parameters: design = "zip"')
    assert told.endswith("a has 2, n has 3")


@pytest.mark.parametrize("kind", ["sobol", "latin-hypercube"])
def test_drawn_designs_fill_ranges_and_choices_evenly(kind):
    found = design(
        f'design = "{kind}"\nsize = 100\nseed = 3\n[parameters]\na = {{ low = 0.5, high = 1 }}\n'
        'glue = ["epoxy", "hot"]\nn = { low = 1, high = 4 }\n'
    )
    assert (found.size, found.axes) == (100, {})
    counts, _ = np.histogram(found.settings["a"], bins=4, range=(0.5, 1))
    assert (np.abs(counts - 25) <= 3).all()
    assert abs(np.count_nonzero(found.settings["glue"] == "hot") - 50) <= 3
    whole, numbers = np.unique(found.settings["n"], return_counts=True)
    assert whole.tolist() == [1, 2, 3, 4]
    assert (np.abs(numbers - 25) <= 3).all()


@pytest.mark.parametrize("kind", ["sobol", "latin-hypercube"])
def test_same_seed_draws_the_same_settings(kind):
    def drawn(seed):
        text = f'design = "{kind}"\nsize = 7\nseed = {seed}\n[parameters]\n'
        return design(text + "a = { low = 0, high = 1 }\n" + REST).settings["a"].tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(drawn(1)) == 7


def test_drawn_log_range_has_its_median_at_the_geometric_mean():
    found = design(
        'design = "sobol"\nsize = 256\n[parameters]\n'
        f"a = {{ low = 0.0001, high = 1, scale = 'log' }}\n{REST}"
    ).settings["a"]
    assert np.median(found) == pytest.approx(0.01, rel=0.1)
    assert found.min() >= 0.0001


def test_drawn_design_of_constants_repeats_them():
    assert design(f'design = "sobol"\nsize = 3\n[parameters]\na = 0\n{REST}').size == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = { start = 0, stop = 1, num = 3 }\n" + REST, "a: a design that draws its settings"),
        ('a = 0\nglue = "hot"\nn = { low = 0.2, high = 0.8 }', "n: no whole number from 0.2 to"),
        ("a = { low = 0, high = 2 }\n" + REST, "V is outside its bounds [0, 1]"),
    ],
)
def test_drawn_design_refuses(text, message):
    told = fault('design = "sobol"\nsize = 64\n[parameters]\n' + text)
    assert told.startswith("params.toml: parameters.")
    assert message in told


def test_grid_refuses_low_and_high():
    assert "parameters.a: a grid or zip needs a value, a list" in fault(
        "[parameters]\na = { low = 0, high = 1 }\n" + REST
    )


def test_faults_name_the_file_and_the_key():
    told = fault('[parameters]\na = [0, 3]\nglue = "hott"\nn = 1.5\n')
    assert told.split("\n") == [
        "params.toml: parameters.a: 3 V is outside its bounds [0, 1]",
        "params.toml: parameters.glue: unknown category 'hott'; did you mean 'hot'?",
        "params.toml: parameters.n: expected a whole number, found 1.5",
    ]


def test_unknown_and_missing_parameters_are_told_together():
    told = fault("[parameters]\nglu = 'hot'\na = 0\nn = 1\n")
    assert told.split("\n") == [
        "params.toml: parameters.glu: unknown parameter; did you mean 'glue'?",
        "params.toml: parameters.glue: missing; every parameter of the experiment needs a value",
    ]


def test_grid_refuses_a_value_twice():
    assert "parameters.a: 0.5 stands in it twice" in fault("[parameters]\na = [0.5, 0.5]\n" + REST)


def test_grid_refuses_more_settings_than_memory_holds():
    told = fault(
        "[parameters]\na = { start = 0, stop = 1, num = 10_000 }\nglue = 'hot'\n"
        "n = { start = 1, stop = 10_000, num = 10_000 }\n"
    )
    assert "a grid of 10,000 x 10,000 = 100,000,000 settings is too large" in told


def test_number_stands_for_a_category_that_is_one():
    found = design("[parameters]\na = 0\nglue = 1\nn = 1\n")
    assert found.settings["glue"].tolist() == ["1"]


def test_span_of_floats_ends_in_a_message_not_in_a_warning():
    wide = (Parameter("a"),)
    told = fault("[parameters]\na = { start = -1e308, stop = 1e308, num = 3 }", wide)
    assert "parameters.a: expected a finite number" in told


def test_table_reads_settings_in_any_order_of_columns(tmp_path):
    found = table(tmp_path, 'n, a,glue\n1, 0.25,hot\n\n2,5e-1,"epoxy"\n')
    assert found.settings["a"].tolist() == [0.25, 0.5]
    assert found.settings["glue"].tolist() == ["hot", "epoxy"]
    assert (found.size, found.axes, list(found.settings)) == (2, {}, ["a", "glue", "n"])


def test_table_is_found_beside_params_toml_and_may_start_with_a_byte_order_mark(tmp_path):
    assert table(tmp_path, "a,glue,n\r\n0,hot,1\r\n", encoding="utf-8-sig").size == 1


def test_table_takes_constants_from_params_toml(tmp_path):
    found = table(tmp_path, "a\n0\n1\n", "[parameters]\n" + REST)
    assert found.settings["glue"].tolist() == ["hot", "hot"]


def test_table_reads_a_category_as_a_spreadsheet_writes_it(tmp_path):
    assert table(tmp_path, "a,glue,n\n0,1.0,1\n").settings["glue"].tolist() == ["1"]


def test_table_tells_faults_with_their_lines(tmp_path):
    told = table_fault(tmp_path, "a,glue,n\n0,hot,1\n\n7,hott,1.5\n")
    assert told.split("\n") == [
        "candidates.csv line 4: a: 7 V is outside its bounds [0, 1]",
        "candidates.csv line 4: glue: unknown category 'hott'; did you mean 'hot'?",
        "candidates.csv line 4: n: expected a whole number, found 1.5",
    ]


def test_constant_of_a_table_is_told_with_its_key(tmp_path):
    told = table_fault(tmp_path, "a\n0\n", '[parameters]\nglue = "x"\nn = 1\n')
    assert told.startswith("params.toml: parameters.glue: unknown category 'x'")


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("", "candidates.csv: is empty; expected a first line that names parameters"),
        ("a,glue,n\n", "candidates.csv: no settings"),
        ("a,glue,n\n0,,1\n", "candidates.csv line 2: glue is blank"),
        ("a,glue,n\n0,hot\n", "candidates.csv line 2: expected 3 values"),
        ("a,glue,n\n0,hot,1,2\n", "candidates.csv line 2: expected 3 values"),
        ("a,glu,n\n0,hot,1\n", "column 'glu' is no parameter; did you mean 'glue'?"),
        ("a,glu,n\n0,hot,1\n", "no column 'glue'; add it, or a constant"),
        ("a,a,glue,n\n0,0,hot,1\n", "column 'a' stands twice"),
        ("a;glue;n\n0;hot;1\n", "columns must be separated by commas"),
        ("a,glue,n\nzero,hot,1\n", "line 2: a: expected a number, found 'zero'"),
        ("a,glue,n\n1_0,hot,1\n", "line 2: a: expected a number, found '1_0'"),
        ("a,glue,n\nnan,hot,1\n", "line 2: a: expected a finite number"),
        ('a,glue,n\n0,"hot,1\n', "candidates.csv line 2: not valid CSV"),
    ],
)
def test_table_refuses(tmp_path, csv, message):
    assert message in table_fault(tmp_path, csv)


def test_table_refuses_a_column_that_is_constant_too(tmp_path):
    told = table_fault(tmp_path, "a,glue,n\n0,hot,1\n", "[parameters]\na = 1\n")
    assert "column 'a' has a value in [parameters], too; keep one" in told


def test_table_refuses_values_that_vary_in_params_toml(tmp_path):
    told = table_fault(tmp_path, "a,glue\n0,hot\n", "[parameters]\nn = [1, 2]\n")
    assert 'parameters.n: design = "table" takes only a single value' in told


def test_missing_table_is_named(tmp_path):
    told = fault('design = "table"\nfile = "nowhere.csv"\n', folder=tmp_path)
    assert "nowhere.csv: no such file" in told


def test_plain_python_makes_a_grid():
    found = design_from({"n": range(1, 3), "a": np.array([0.1, 0.2]), "glue": "hot"}, PARAMETERS)
    assert isinstance(found, Design)
    assert list(found.axes) == ["n", "a"]
    assert found.settings["a"].tolist() == [0.1, 0.2, 0.1, 0.2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"a": 2}, "parameter a: 2 V is outside its bounds"),
        ({"a": []}, r"parameter a: expected a value or a flat list, found an array of shape \(0,"),
        ({"a": [[0]]}, "expected a value or a flat list"),
        ({"a": [[0], [0, 1]]}, "expected a value or a flat list"),
        ({"a": "0"}, "parameter a: expected a number, found '0'"),
        ({"a": True}, "parameter a: expected a number, found 'True'"),
        ({"b": 0}, "parameter b: unknown parameter"),
        ({}, "parameter a: missing"),
        ({"a": [0, 0]}, "a: 0.0 stands in it twice"),
    ],
)
def test_plain_python_is_checked(settings, message):
    with pytest.raises(SettingError, match=message):
        design_from({"glue": "hot", "n": 1, **settings}, PARAMETERS)


def test_grid_costs_no_scipy():
    code = (
        "import sys; from virtlab.design import design_from\n"
        "from virtlab.conditioning import Parameter\n"
        "design_from({'a': [1, 2]}, [Parameter('a')])\n"
        "print([m for m in ('scipy', 'xarray', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
