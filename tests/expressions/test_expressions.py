"""Expressions: what they mean, and that nothing but arithmetic gets through."""

import time

import numpy as np
import pytest

from virtlab.conditioning import Parameter
from virtlab.errors import ConfigError
from virtlab.expressions.parsing import known_names, parse_goal, parse_requirement
from virtlab.trials import Measurement

KNOWN = known_names(
    [
        Measurement("light", units="lm"),
        Measurement("yield", units="percent"),
        Measurement("state", kind="categorical", categories=("up", "down")),
        Measurement("trace", units="V", dims=("time",), shape=(3,)),
        Measurement("image", dims=("y", "x"), shape=(2, 2)),
    ],
    [Parameter("power", units="W"), Parameter("lambda", units="nm")],
    {
        "time": {"dims": ["time"], "values": [0.0, 1.0, 4.0], "units": "s"},
        "y": {"dims": ["y"], "values": ["top", "bottom"], "units": None},
        "where": {"dims": ["y", "x"], "values": [[0, 1], [2, 3]], "units": "mm"},
    },
)
WHERE = "params.toml: objective.maximize"
# 2 settings x 2 trials
VALUES = {
    "light": np.array([[1.0, 2.0], [3.0, 4.0]]),
    "yield": np.array([[0.0, 50.0], [100.0, np.nan]]),
    "trace": np.arange(12.0).reshape(2, 2, 3) - 5,
    "image": np.ones((2, 2, 4)),
    "power": np.array([[10.0], [20.0]]),
    "lambda": np.array([[2.0], [2.0]]),
}


def value(text):
    return parse_goal(text, KNOWN, WHERE).evaluate(VALUES)


def fault(text, parse=parse_goal):
    with pytest.raises(ConfigError) as caught:
        parse(text, KNOWN, WHERE)
    return str(caught.value)


def marked(message):
    """The part of the text that the carets point at."""
    _, text, carets, _ = message.split("\n")
    return "".join(
        letter for letter, caret in zip(text, carets.ljust(len(text)), strict=False) if caret == "^"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("light", [[1, 2], [3, 4]]),
        ("-light ** 2", [[-1, -4], [-9, -16]]),
        ("2 + light * 3 - 4 / 2", [[3, 6], [9, 12]]),
        ("light / power", [[0.1, 0.2], [0.15, 0.2]]),
        ("(light - 1) * 1e1", [[0, 10], [20, 30]]),
        ("max(trace)", [[-3, 0], [3, 6]]),
        ("min(trace) + mean(trace)", [[-9, -3], [3, 9]]),
        ("sum(image * light)", [[4, 8], [12, 16]]),
        ("sum(power - abs(trace))", [[18, 27], [54, 45]]),
        ("std(trace) ** 2", [[2 / 3] * 2] * 2),
        ("sqrt(exp(log(light) * 2))", [[1, 2], [3, 4]]),
        ("max(trace) - light * max(image)", [[-4, -2], [0, 2]]),
        ("light ** -1", [[1, 0.5], [1 / 3, 0.25]]),
        ("integral(trace)", [[-15, -3], [9, 21]]),
        ("integral(trace * 2 + light)", [[-26, 2], [30, 58]]),
        ("peak_position(trace)", [[4, 4], [4, 4]]),
        ("peak_position(0 - trace, time) + light", [[1, 2], [3, 4]]),
        ("peak_position(image * light, x)", [[0, 0], [0, 0]]),
        ("fraction_above(trace, 0)", [[0, 0], [1, 1]]),
        ("fraction_above(trace, light + 1)", [[0, 0], [0, 1 / 3]]),
    ],
)
def test_expression_means_what_it_says(text, expected):
    np.testing.assert_allclose(value(text), expected)


def test_names_that_python_keeps_are_names_like_others():
    np.testing.assert_array_equal(value("lambda * yield")[0], [0, 100])
    assert parse_goal("lambda * yield", KNOWN, WHERE).names == {"lambda", "yield"}
    assert "'lambd'; did you mean 'lambda'?" in fault("lambd * yield")


def test_text_is_kept_with_single_blanks():
    expression = parse_goal("  max(trace)\n  + light ", KNOWN, WHERE)
    assert expression.text == "max(trace) + light"
    assert expression.names == {"trace", "light"}


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("light", "lm"),
        ("-max(trace)", "V"),
        ("abs(min(trace)) - max(trace)", "V"),
        ("light*2", ""),
        ("integral(trace)", "V s"),
        ("peak_position(trace * 2)", "s"),
        ("fraction_above(trace, 1)", ""),
    ],
)
def test_units_are_known_where_they_are_plain(text, units):
    assert parse_goal(text, KNOWN, WHERE).units == units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("light > 2", [[False, False], [True, True]]),
        ("2 <= light < 4", [[False, True], [True, False]]),
        ("light != 2", [[True, False], [True, True]]),
        ("max(trace) == 3", [[False, False], [True, False]]),
        ("10 * light >= power * 2", [[False, True], [False, True]]),
    ],
)
def test_requirement_holds_per_trial(text, expected):
    found = parse_requirement(text, KNOWN, WHERE).evaluate(VALUES)
    np.testing.assert_array_equal(np.broadcast_to(found, (2, 2)), expected)


@pytest.mark.parametrize("text", ["yield >= 0", "yield < 1000", "yield != 7", "1 != yield"])
def test_what_is_no_number_meets_no_requirement(text):
    assert not parse_requirement(text, KNOWN, WHERE).evaluate(VALUES)[1, 1]


def test_requirement_has_a_margin_where_there_is_more_or_less():
    margin = parse_requirement("1 < light <= 3.5", KNOWN, WHERE).margin
    assert margin is not None
    np.testing.assert_allclose(margin(VALUES), [[0, 1], [0.5, -0.5]])
    for text in ('state == "up"', "light == 2", "1 < light != 3"):
        assert parse_requirement(text, KNOWN, WHERE).margin is None


def test_message_names_the_key_the_place_and_what_is_allowed():
    assert fault("2 * lihgt + power").split("\n") == [
        "params.toml: objective.maximize: unknown name 'lihgt'; did you mean 'light'?",
        "    2 * lihgt + power",
        "        ^^^^^",
        "  allowed: numbers, + - * / ** and ( ), mean max min sum std integral peak_position "
        "fraction_above of a signal or image, abs sqrt log exp; names: light, yield, state, "
        "trace, image, power, lambda",
    ]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("trace", "trace", "reduce them: mean(trace), max(trace)"),
        ("light + trace * 2", "light + trace * 2", "has many values per trial (along time)"),
        ("mean(trace - image)", "trace - image", "along time and along y, x do not fit together"),
        ("max(light)", "max(light)", "has nothing to reduce"),
        ("max(max(trace))", "max(max(trace))", "has nothing to reduce"),
        ("max(trace, 2)", "max(trace, 2)", "max takes one value"),
        ("mean()", "mean()", "mean takes one value"),
        ("peak_position(image)", "peak_position(image)", "write peak_position(image, y) or peak"),
        ("peak_position(image, z)", "z", "expected a dim of the values: y, x"),
        ("peak_position(image, y)", "peak_position(image, y)", "along y have names and no places"),
        ("integral(image)", "integral(image)", "along y have names and no places"),
        ("integral(light)", "integral(light)", "has nothing to reduce"),
        ("fraction_above(trace)", "fraction_above(trace)", "takes values and a level"),
        ("fraction_above(trace, image)", "image", "takes one level per trial"),
        ("median(trace)", "median", "unknown function 'median'; did you mean 'mean'?"),
        ("state", "state", "state is a category"),
        ('state == "upp"', '"upp"', "state is never 'upp'"),
        ("light > 2", "light > 2", "a comparison may only stand in require"),
        ("2 ** 10", "2 ** 10", "names no measurement and no parameter"),
        ("log * 2", "log", "log is a function; write log(…)"),
        ("light ^ 2", "^", "a power is written **"),
        ("light = 2", "=", "write =="),
        ("(light", "(", "'(' was never closed"),
        ("light)", ")", "unmatched ')'"),
        ("light power", "p", "cannot be read here"),
        ("light *", "*", "cannot be read here"),
        ("light / 0 * 1e999", "1e999", "1e999 is not a finite number"),
        ("light + 1 / 0", "1 / 0", "1 / 0 is not a finite number"),
        ("   ", "", "is empty"),
    ],
)
def test_what_cannot_be_a_goal_is_pointed_at(text, place, said):
    message = fault(text)
    assert said in message
    assert marked(message).strip() == place


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("light", "is no comparison"),
        ("lihgt", "did you mean 'light'"),
        ("light > 1 and power < 2", "an item of its own in require"),
        ("(light > 1) * 2 > 1", "may only stand in require, one per item, alone"),
        ("trace > 0", "reduce them"),
        ("1 < 2", "names no measurement and no parameter"),
        ("light is 2", "compare numbers"),
        ("light in power", "compare numbers"),
        ("state == 1", 'state is a category; only state == "up", alone'),
        ('state == "upp"', "state is never 'upp'; did you mean 'up'?; it is one of: up, down"),
        ('stat == "up"', "unknown name 'stat'; did you mean 'state'?"),
        ('light == "up"', "light is a number"),
        ('state == "up" and light > 1', "is not allowed here"),
    ],
)
def test_what_cannot_be_required_is_told(text, said):
    message = fault(text, parse_requirement)
    assert said in message
    assert "one comparison < <= > >= == !=" in message


HOSTILE = [
    "__import__('os').system('true')",
    "__import__(light)",
    "__builtins__",
    "light.__class__",
    "().__class__.__bases__",
    "open(light)",
    "eval(light)",
    "max.__call__(trace)",
    "max(trace)(light)",
    "(lambda: light)()",
    "lambda light: light",
    "[light for light in trace]",
    "(light for light in trace)",
    "{light}",
    "trace[0]",
    "'text'",
    '"text"',
    "f'{light}'",
    "b'light'",
    "light if power else 1",
    "light and power",
    "not light",
    "(light := 2)",
    "light, power",
    "light; power",
    "max(*trace)",
    "max(**trace)",
    "mean(trace, axis=0)",
    "await light",
    "yield light",
    "light @ power",
    "light % 2",
    "light // 2",
    "light << 2",
    "light | 2",
    "~light",
    "+light",
    "True",
    "None",
    "...",
    "1j * light",
    "light # comment",
    "light \\\n + 1",
    "light\x00",
    "light\x1b[2J",
    "lіght",  # a Cyrillic letter
    "9**9**9",
    "9**9**9**9**9 * light",
    "10**400 * light",
    "light * " + "9" * 900,
    "(" * 400 + "light" + ")" * 400,
    "-" * 990 + "light",
    "light" + "+light" * 150,
    "light" * 1000,
    "abs(" * 120 + "light" + ")" * 120,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("parse", [parse_goal, parse_requirement])
def test_hostile_text_is_refused_at_once_with_a_short_message(text, parse):
    start = time.perf_counter()
    message = fault(text, parse)
    assert time.perf_counter() - start < 1
    assert message.startswith(f"{WHERE}: ")
    assert len(message) < 700


def test_place_in_a_long_text_is_shown_with_what_is_around_it():
    message = fault("light + " * 50 + "lihgt" + " + light" * 40)
    assert marked(message) == "lihgt"
    assert len(message.split("\n")[1]) < 90


def test_only_arithmetic_is_called(monkeypatch):
    """A measurement with the name of a function is still only a number."""
    known = known_names([Measurement("max"), Measurement("exec")], [])
    found = parse_goal("exec * 2 + abs(max)", known, WHERE)
    assert found.evaluate({"max": np.full((1, 1), -3.0), "exec": np.ones((1, 1))}) == 5
    with pytest.raises(ConfigError, match="unknown function 'exec'"):
        parse_goal("exec(max)", known, WHERE)


@pytest.mark.parametrize(
    "text", ["integral(trace)", "peak_position(trace)", "fraction_above(trace, 1)"]
)
def test_signal_with_a_missing_value_has_no_reduction(text):
    values = {"trace": np.array([[[1.0, np.nan, 3.0], [1.0, 2.0, 3.0]]])}
    assert np.isnan(parse_goal(text, KNOWN, WHERE).evaluate(values)).tolist() == [[True, False]]


def test_dim_without_a_coordinate_is_numbered_from_0():
    known = known_names([Measurement("trace", dims=("time",), shape=(3,))], [])
    values = {"trace": np.array([[[1.0, 2.0, 5.0]]])}
    assert parse_goal("peak_position(trace)", known, WHERE).evaluate(values) == 2
    assert parse_goal("integral(trace)", known, WHERE).evaluate(values) == 5


def test_integral_of_an_axis_that_runs_backwards_keeps_its_sign():
    coords = {"k": {"dims": ["k"], "values": [3.0, 2.0, 1.0], "units": None}}
    known = known_names([Measurement("trace", dims=("k",), shape=(3,))], [], coords)
    values = {"trace": np.array([[[1.0, 1.0, 1.0]]])}
    assert parse_goal("integral(trace)", known, WHERE).evaluate(values) == 2


def test_category_is_compared_with_a_text():
    values = {"state": np.array([["up", "down"], ["", "up"]], dtype=object)}
    met = parse_requirement('state == "up"', KNOWN, WHERE).evaluate(values)
    np.testing.assert_array_equal(met, [[True, False], [False, True]])
    other = parse_requirement("state != 'up'", KNOWN, WHERE).evaluate(values)
    np.testing.assert_array_equal(other, [[False, True], [False, False]])


def test_category_as_a_goal_is_0_or_1():
    values = {"state": np.array([["up", "down"]], dtype=object)}
    found = parse_goal('state == "down"', KNOWN, WHERE)
    np.testing.assert_array_equal(found.evaluate(values), [[0.0, 1.0]])
    assert (found.names, found.units) == ({"state"}, "")
