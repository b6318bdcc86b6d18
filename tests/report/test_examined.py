"""What the report says of a trained model: what drives what, and what it remembers."""

import json

import pytest

from virtlab.evaluation import evaluate
from virtlab.report import render
from virtlab.storage import open_trials


@pytest.fixture(scope="module")
def examined(tiny):
    """Without new trials."""
    return evaluate(tiny)


@pytest.fixture(scope="module")
def examined_on_new(tiny, tiny_experiment):
    """With some, in which light is a little off."""
    trials = open_trials(tiny_experiment)
    light = trials["light"].assign_attrs(trials["light"].attrs)
    return evaluate(tiny, trials.assign(light=light.copy(data=light.values * 1.01)))


def test_the_page_shows_what_drives_what(examined):
    page = render(examined)
    section = page[page.index("<h2>What drives what") :]
    assert "The settings decide" in section
    assert section.count("Total effects of the parameters on") == 4
    assert "Response of light (lm) to power" in section
    assert "Response of state, share of" in section
    assert "categories are taken as equally frequent" in section


def test_without_new_trials_the_audit_is_beside_held_out_draws(examined):
    assert examined.audit.control == "held-out draws"
    assert examined.audit.pairs == 120
    assert "advantage of guessing who was trained on" in render(examined)
    told = examined.audit.words
    assert (told in examined.lines()) or (told in examined.verdict)


def test_with_new_trials_the_audit_is_in_page_lines_and_json(examined_on_new):
    page = render(examined_on_new)
    section = page[page.index("<h2>Memorisation") :]
    assert "advantage of guessing who was trained on" in section
    assert "median distance to the nearest training trial" in section
    found = json.loads(json.dumps(examined_on_new.to_dict(), default=str))
    assert found["audit"]["pairs"] == 120
    assert {effect["measurement"] for effect in found["sensitivity"]["effects"]} == {
        "light",
        "clicks",
        "state",
        "trace",
    }
    assert any(line.startswith("light: settings decide") for line in examined_on_new.lines())
