"""What README.md says of the command line is so."""

import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from virtlab.cli import main
from virtlab.config import parse_params

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TWO_COMMANDS = [
    block.strip()
    for language, block in BLOCKS
    if not language and block.startswith((".venv", "python3 -m venv"))
]


def test_help_block_is_what_help_prints():
    shown = next(block for _, block in BLOCKS if block.startswith("$ virtlab --help\n"))
    printed = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    assert shown.removeprefix("$ virtlab --help\n") == printed


def test_two_commands_are_lines_that_ci_runs_as_they_stand():
    assert len(TWO_COMMANDS) == 2
    ci = (ROOT / ".ci" / "run").read_text()
    for command in TWO_COMMANDS:
        assert "\n" not in command
        assert f'\nstep "{command}"\n' in ci


def test_ci_is_executable():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_linked_files_are_there(link):
    assert (ROOT / link).exists()


def test_commands_in_the_tutorial_exist_with_their_options():
    code = "".join(block for language, block in BLOCKS if not language)
    commands = re.findall(r"^virtlab (\w+)((?: \S+)*)$", code, re.MULTILINE)
    assert {name for name, _ in commands} == set(main.table)
    for name, arguments in commands:
        options = re.findall(r" (-[\w-]+)", arguments)
        shown = CliRunner().invoke(main, [name, "--help"]).stdout
        assert all(option in shown for option in options), (name, options)


def test_params_in_the_tutorial_are_the_examples():
    block = next(text for kind, text in BLOCKS if kind == "toml" and text.startswith("model"))
    example = ROOT / "example_experiments" / "damped_oscillator" / "params.toml"
    assert tomllib.loads(block) == tomllib.loads(example.read_text())
    assert parse_params(block).trials == 200


def test_experiment_in_the_tutorial_says_what_the_examples_does():
    block = next(text for kind, text in BLOCKS if kind == "toml" and text.startswith("[experi"))
    example = ROOT / "example_experiments" / "damped_oscillator" / "experiment.toml"
    whole = tomllib.loads(example.read_text())
    for section, table in tomllib.loads(block).items():
        assert table.items() <= whole[section].items()


def test_python_in_the_readme_runs(tmp_path, monkeypatch):
    """Both snippets, in the folder of the example that they are about."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    folder = tmp_path / "example"
    shutil.copytree(ROOT / "example_experiments" / "damped_oscillator", folder)
    monkeypatch.chdir(folder)
    assert CliRunner().invoke(main, ["simulate", "params.toml", "-q", "--force"]).exit_code == 0
    snippets = [block for language, block in BLOCKS if language == "python"]
    assert len(snippets) == 2
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), {})
