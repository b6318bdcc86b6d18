"""Results as text or JSON."""

import json
import math

import numpy as np
import pytest

from virtlab.cli.output import emit, fields, plain, size, table


def emitted(capsys, data):
    emit(data, [], as_json=True)
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_json_has_a_schema_version_and_null_for_what_is_not_finite(capsys):
    data = {"a": math.nan, "b": [1.5, -math.inf], "c": {"d": (np.float32(0.5), np.nan)}}
    assert emitted(capsys, data) == {
        "schema_version": 1,
        "a": None,
        "b": [1.5, None],
        "c": {"d": [0.5, None]},
    }


def test_json_takes_arrays_paths_and_keys_of_any_kind(capsys, tmp_path):
    assert emitted(capsys, {"x": np.array([1, 2]), "p": tmp_path, 3: True}) == {
        "schema_version": 1,
        "x": [1, 2],
        "p": str(tmp_path),
        "3": True,
    }


def test_lines_are_printed_without_control_characters(capsys):
    emit({}, ["\x1b]0;title\x07a", "b\tc\x9b"], as_json=False)
    assert capsys.readouterr().out == "\ufffd]0;title\ufffda\nb\tc\ufffd\n"


def test_plain_keeps_units_and_accents():
    assert plain("µm, 20 °C, Å") == "µm, 20 °C, Å"


def test_table_aligns_all_but_the_last_column():
    assert table([("a", "bb", "c"), ("aaa", "b", "long text")]) == [
        "a    bb  c",
        "aaa  b   long text",
    ]


def test_fields_of_nothing_are_no_lines():
    assert fields({}) == []


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0 B"), (999, "999 B"), (1400, "1.4 kB"), (3.2e9, "3.2 GB"), (5e15, "5000.0 TB")],
)
def test_sizes_are_for_people(n, text):
    assert size(n) == text
