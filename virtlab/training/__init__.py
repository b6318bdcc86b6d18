"""Trials to a model file: read, scale, fit, calibrate, assess, write."""

from __future__ import annotations

from virtlab.training.train import train

__all__ = ["train"]
