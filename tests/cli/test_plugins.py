"""``virtlab plugins``."""

import json

import pytest
from click.testing import CliRunner

import virtlab
from virtlab.cli import main
from virtlab.cli.plugins import _lines
from virtlab.plugins import PluginInfo


def plugins(*arguments):
    result = CliRunner().invoke(main, ["plugins", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    ("kind", "name"),
    [("conditioner", "generic"), ("reader", "table"), ("reader", "groups"), ("reader", "files")],
)
def test_lists_what_is_built_in_and_where_it_is_from(kind, name):
    lines = [line.split() for line in plugins().splitlines()]
    assert any(line[:4] == [kind, name, "virtlab", virtlab.__version__] for line in lines)
    assert all(len(line) > 4 for line in lines[1:])  # each says what it does


def test_json_has_the_same():
    found = json.loads(plugins("--json"))
    assert found["schema_version"] == 1
    generic = next(plugin for plugin in found["plugins"] if plugin["name"] == "generic")
    assert (generic["distribution"], generic["error"]) == ("virtlab", "")


def test_broken_plugin_says_why_in_its_line():
    broken = PluginInfo("virtlab.readers", "bad", "virtlab-bad", "0.1", error="no module x")
    assert _lines([broken])[1] == "reader  bad   virtlab-bad 0.1  error: no module x"
