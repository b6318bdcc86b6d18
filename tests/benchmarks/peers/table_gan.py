"""CTGAN (Xu et al., 2019) by its authors' package.

It conditions on discrete columns alone. So it learns the joint table of conditions and
measurements, and what it draws is resampled among the drawn rows nearest to the condition asked
for. That suits few parameters; outputs wider than 16 are left out, as every column becomes eleven
and ten rows at once go into its critic.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN
from neighbours import nearest
from problem import Data, Fitted

EPOCHS, MIN_STEPS = 300, 3_000
"""The package's own number of epochs; more where these are few steps. It never stops early."""
POOL, NEAREST = 100_000, 30
WIDEST = 16


def fit(data: Data, seed: int) -> Fitted | None:
    """None for outputs too wide for it."""
    if data.width > WIDEST:
        return None
    table, levels = as_table(data)
    per_epoch = max(1, len(table) // 500)
    epochs = max(EPOCHS, MIN_STEPS // per_epoch)
    np.random.seed(seed)  # noqa: NPY002 - the package draws from the global state
    torch.manual_seed(seed)
    model = CTGAN(epochs=epochs, enable_gpu=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own use of pandas and scikit-learn
        model.fit(table, levels)
        drawn = model.sample(POOL)
    pool = from_table(drawn, data)
    fitted = nearest(pool, NEAREST)
    return Fitted(fitted, epochs * per_epoch, True, {"epochs": epochs})


def as_table(data: Data) -> tuple[pd.DataFrame, list[str]]:
    """Conditions and measurements as columns, one-hot levels as one discrete column."""
    one_hot = {column for block in data.categories for column in block}
    columns = {f"c{i}": data.c[:, i] for i in range(data.c.shape[1]) if i not in one_hot}
    levels = {
        f"level{b}": data.c[:, list(block)].argmax(1).astype(str)
        for b, block in enumerate(data.categories)
    }
    outputs = {f"y{i}": data.y[:, i] for i in range(data.width)}
    return pd.DataFrame(columns | levels | outputs), list(levels)


def from_table(drawn: pd.DataFrame, data: Data) -> Data:
    """The drawn rows as conditions and measurements again."""
    c = np.zeros((len(drawn), data.c.shape[1]))
    for name in drawn.columns:
        if name.startswith("c"):
            c[:, int(name[1:])] = drawn[name]
    for b, block in enumerate(data.categories):
        c[np.arange(len(drawn)), np.take(block, drawn[f"level{b}"].astype(int))] = 1.0
    y = drawn[[f"y{i}" for i in range(data.width)]].to_numpy(float)
    return Data(c, y, data.categories, data.one_unit)
