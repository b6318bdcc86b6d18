"""Trials to float32 columns and back."""

from virtlab.scaling.column import Column, column_from_dict, column_to_dict
from virtlab.scaling.fitting import fit_column, fit_columns

__all__ = ["Column", "column_from_dict", "column_to_dict", "fit_column", "fit_columns"]
