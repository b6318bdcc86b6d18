"""A model file to a page in the browser."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from virtlab.errors import ConfigError, ServingError
from virtlab.explorer.sampling import Sampler
from virtlab.explorer.spans import starting_setting
from virtlab.simulation import Model, load
from virtlab.simulation.drawing import MOST_SEED, check_whole

TRIALS = 1000
MOST_TRIALS = 100_000
MOST_VALUES = 2**26  # a quarter of a gigabyte for each setting
MOST_PORT = 65_535


def explore(
    model: Model | str | os.PathLike[str],
    *,
    trials: int = TRIALS,
    seed: int = 0,
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str], None] = print,
) -> None:
    """Serve a page with a slider per parameter, and show virtual trials; until interrupted.

    Parameters
    ----------
    model
        A model, or its file.
    trials
        Virtual trials per setting.
    seed
        The same one shows the same trials.
    port
        Of this machine; 0 for one that is free. No other machine reaches it.
    browser
        Open the page.
    ready
        Called with its address once the page is there.

    Raises
    ------
    VirtlabError
        The model cannot be used, the port cannot be had, or Bokeh is not installed.
    """
    check_whole("trials", trials, 1, MOST_TRIALS)
    check_whole("seed", seed, 0, MOST_SEED)
    check_whole("port", port, 0, MOST_PORT)
    if importlib.util.find_spec("bokeh") is None:
        raise ServingError("the page needs bokeh: pip install 'virtlab[explore]'")
    loaded = model if isinstance(model, Model) else load(model)
    size = sum(measurement.size for measurement in loaded.measurements)
    if trials * size > MOST_VALUES:
        raise ConfigError(
            f"trials: {trials:,} of {size:,} values each are too many to look at; "
            f"ask for {MOST_VALUES // size:,} at most"
        )
    sampler = Sampler(loaded, trials=trials, seed=seed)
    # What is slow, or may fail, is done before anybody waits for a page.
    sampler.draw(starting_setting(loaded, sampler.spans))
    _ = sampler.reaches
    from virtlab.explorer.serving import serve

    with tempfile.TemporaryDirectory(prefix="virtlab-explore-") as folder:

        def opened(address: str) -> None:
            ready(address)
            if browser:
                import webbrowser

                webbrowser.open(_door(Path(folder), address).as_uri())

        serve(sampler, port, opened)


def _door(folder: Path, address: str) -> Path:
    """Write a file that leads a browser to the page.

    Every user of the machine can see with which arguments a browser was started, and the address
    holds the token; the file is read by this user alone.
    """
    path = folder / "explore.html"
    path.touch(0o600)
    path.write_text(
        '<!DOCTYPE html><meta charset="utf-8"><title>virtlab explore</title>'
        f'<meta http-equiv="refresh" content="0; url={address}"><a href="{address}">{address}</a>\n'
    )
    return path
