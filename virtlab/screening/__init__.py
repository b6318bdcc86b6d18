"""Ranks settings by an objective, with the probability of meeting it."""

from __future__ import annotations

from virtlab.screening.backtest import Game, backtest
from virtlab.screening.output import write_screen
from virtlab.screening.power import plan_power
from virtlab.screening.result import Screen
from virtlab.screening.screen import screen
from virtlab.screening.suggestion import Asked

__all__ = ["Asked", "Game", "Screen", "backtest", "plan_power", "screen", "write_screen"]
