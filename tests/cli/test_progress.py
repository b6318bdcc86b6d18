"""What is seen while a model learns."""

import os
import pty
import subprocess
import sys

import pytest

from virtlab.cli import progress
from virtlab.cli.progress import duration, showing
from virtlab.progress import Progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def fit(fraction, message="", score=None, seconds_left=None, stage="fit"):
    return Progress(stage, fraction, score, seconds_left, message)


def test_quiet_shows_nothing(capsys):
    with showing("reading x.toml", quiet=True) as report:
        assert report is None
    assert capsys.readouterr() == ("", "")


def test_first_words_come_before_the_work(capsys):
    with showing("reading x.toml", quiet=False):
        assert capsys.readouterr() == ("", "reading x.toml\n")


def test_line_says_stage_percent_message_score_and_time_left(capsys, clock):
    report = progress._lines("reading", clock)
    clock.now = 75.0
    report(fit(0.25, "member 3", 0.1234, 4000.0))
    assert capsys.readouterr().err.splitlines()[1] == (
        "fit 25%, member 3, held-out score 0.123, after 1 min 15 s, 1 h 06 min left"
    )


def test_word_of_the_stage_is_not_said_twice(capsys, clock):
    report = progress._lines("reading", clock)
    report(Progress("reading", 0.5, message="reading day.h5 (1 of 2)"))
    assert capsys.readouterr().err.splitlines()[1] == "reading 50%, day.h5 (1 of 2), after 0 s"


def test_lines_of_one_stage_keep_their_distance(capsys, clock):
    report = progress._lines("reading", clock)
    for second in range(21):
        clock.now = float(second)
        report(fit(second / 20))
    shown = capsys.readouterr().err.splitlines()[1:]
    assert [line.split(",")[0] for line in shown] == [
        "fit 0%",
        "fit 25%",
        "fit 50%",
        "fit 75%",
        "fit 100%",
    ]


def test_change_of_stage_is_shown_at_once(capsys, clock):
    report = progress._lines("reading", clock)
    report(fit(1.0, stage="read"))
    report(fit(0.0, stage="fit"))
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_note_stands_on_a_line_of_its_own(capsys, clock):
    report = progress._lines("reading", clock)
    report(Progress("reading", 0.1, note="light: 1e+06 is far"))
    report(Progress("reading", 0.2, note="light: whole"))
    assert capsys.readouterr().err.splitlines()[1:] == [
        "note: light: 1e+06 is far",
        "note: light: whole",
    ]


def test_lines_cannot_steer_the_terminal(capsys, clock):
    progress._lines("reading \x1b[2J", clock)(fit(0.0, "file \x1b]0;x\x07"))
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


SCRIPT = """
import time
from virtlab.cli.progress import showing
from virtlab.progress import Progress
with showing("reading [red]lab.toml[/]", quiet=False) as report:
    time.sleep(0.3)
    report(Progress("reading", 0.1, note="light: [/x] is far"))
    report(Progress("fit", 0.4, 0.25, 61.0, "[/x] \\x1b]0;evil\\x07"))
    time.sleep(0.3)
"""


def on_terminal(term):
    """What a script shows on a terminal of that kind."""
    terminal, inner = pty.openpty()
    environment = os.environ | {"TERM": term, "COLUMNS": "140"}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=inner, env=environment) as process:
        os.close(inner)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 10_000)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(terminal)
    assert process.returncode == 0
    return shown.decode()


def test_terminal_shows_a_bar_with_stage_percent_score_and_time_left():
    shown = on_terminal("xterm")
    assert "reading [red]lab.toml[/]" in shown  # from the start, and no markup
    for part in (
        "fit",
        "40%",
        "held-out score 0.250",
        "1 min 01 s left",
        "[/x] \ufffd]0;evil\ufffd",
        "note: light: [/x] is far",
    ):
        assert part in shown
    assert "\x1b]0;evil" not in shown


def test_dumb_terminal_gets_plain_lines():
    shown = on_terminal("dumb")
    assert "fit 40%" in shown
    assert "note: light: [/x] is far" in shown
    assert "\x1b" not in shown
