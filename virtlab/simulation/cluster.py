"""Simulates on the workers of a Dask cluster: each task draws a region and writes its shards.

The model and the design travel once per worker, as a plugin that also reaches workers who join
later; a task is the place of a region. A region written twice has the same bytes, so that the tasks
of a worker that dies are simply done again by others.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import dask
from distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
)
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from virtlab.design import Design
from virtlab.errors import ClusterError, ConfigError
from virtlab.progress import Report
from virtlab.simulation import allocator
from virtlab.simulation.drawing import Drawer
from virtlab.simulation.model import Model, load
from virtlab.simulation.streaming import Pace, look, shaped, trials_of
from virtlab.simulation.summary import Sample
from virtlab.storage.places import Place
from virtlab.storage.template import Region, Template
from virtlab.storage.zarr_store import AT_ONCE, ZarrWriter, write_region

WAITING = 4
"""Tasks per thread of the cluster that are handed out ahead."""
TIMEOUT = "20s"
OURS = {f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in allocator.ENVIRONMENT.items()}
"""How workers of our own differ: Dask's give memory back at once, and watch what they do."""
OURS |= {"distributed.worker.profile.enabled": False}


@dataclass
class Run(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """What every worker needs of a run; a plugin of Dask's workers.

    Parameters
    ----------
    name
        Of the plugin: another one for another run.
    content
        The model file.
    design, template, seed, place
        What is drawn and where it is written.
    """

    name: str
    content: bytes
    design: Design
    template: Template
    seed: int
    place: Place

    def setup(self, worker: Worker) -> None:
        """Load the model, once per worker."""
        path = Path(worker.local_directory) / f"{self.name}.virtlab"
        path.write_bytes(self.content)
        self._drawer = Drawer(load(path), self.design, seed=self.seed)
        self.content = b""

    def teardown(self, worker: Worker) -> None:
        """Forget the model."""
        (Path(worker.local_directory) / f"{self.name}.virtlab").unlink(missing_ok=True)

    def fill(self, region: Region) -> None:
        """Draw a region and write its shards."""
        drawn = self._drawer.draw(self.template.regions.settings(region), trials_of(region))
        values = shaped(drawn, region)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for written in write_region(pool, self.place, self.template, region, values):
                written.result()


def fill(name: str, region: Region) -> None:
    """One task: the worker's own run fills a region."""
    get_worker().plugins[name].fill(region)


def simulate_regions(
    client: Client,
    model: Model,
    drawer: Drawer,
    design: Design,
    template: Template,
    writer: ZarrWriter,
    sample: Sample,
    *,
    seed: int,
    tell: Report,
) -> None:
    """Have a cluster fill every region that is not there yet.

    Raises
    ------
    ClusterError
        A worker cannot do the work, or none is left.
    OutputError
        A worker cannot write.
    """
    name = f"virtlab-{model.file.digest[:12]}-{id(template):x}"
    content = model.file.path.read_bytes()
    run = Run(name, content, design, template.only_drawn(), seed, writer.place)
    regions = template.regions
    missing = [region for region in regions if not writer.holds(region)]
    pace = Pace(len(regions), tell)
    for _ in range(len(regions) - len(missing)):
        pace.skip()
    with _failing_clearly(), _plugged_in(client, run, name):
        for _ in _in_turn(client, name, missing):
            pace.step()
    for region in regions:
        sample.add(look(drawer, regions.settings(region), trials_of(region), sample))


def _in_turn(client: Client, name: str, regions: list[Region]) -> Iterator[Any]:
    """Hand regions out, some ahead of the workers; yields whenever one is filled."""
    left = iter(regions)

    def submit(region: Region) -> Future:
        return client.submit(fill, name, region, pure=False)

    ahead = max(1, WAITING * sum(client.nthreads().values()))
    done = as_completed([submit(region) for region in islice(left, ahead)])
    for future in done:
        yield future.result()
        for region in islice(left, 1):
            done.add(submit(region))


@contextlib.contextmanager
def _plugged_in(client: Client, run: Run, name: str) -> Iterator[None]:
    client.register_plugin(run, name=name)
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # a cluster that is gone has forgotten already
            client.unregister_worker_plugin(name)


@contextlib.contextmanager
def connected(workers: int | None, cluster: str | None) -> Iterator[Client]:
    """Connect to a scheduler, or start `workers` processes of our own.

    Raises
    ------
    ConfigError
        Both are asked for.
    ClusterError
        Nobody answers, or there are no workers.
    """
    if workers is not None and cluster is not None:
        raise ConfigError("--workers starts a cluster, --cluster uses one; give one of them")
    with contextlib.ExitStack() as stack:
        try:
            if cluster is None:
                stack.enter_context(dask.config.set(OURS))
                own = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    # Half of what the start takes, and nobody is told where it is.
                    scheduler_kwargs={"dashboard": False},
                    dashboard_address=":0",  # any port: another cluster may have Dask's own
                    silence_logs=logging.CRITICAL,  # what matters to a user is said by us
                )
                client = stack.enter_context(Client(stack.enter_context(own)))
            else:
                client = stack.enter_context(Client(cluster, timeout=TIMEOUT))
                client.wait_for_workers(1, timeout=TIMEOUT)
        except (OSError, TimeoutError, ValueError) as error:
            said = str(error).splitlines()[0] if str(error) else "no answer"
            raise ClusterError(
                f"{cluster or 'local cluster'}: {said}; is a Dask scheduler with workers there? "
                "start one with `dask scheduler` and `dask worker ADDRESS`"
            ) from error
        yield client


@contextlib.contextmanager
def _failing_clearly() -> Iterator[None]:
    """What goes wrong between the machines as one message."""
    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"workers died over and over at the same region ({error}); do they have the memory?"
        ) from error
    except (CommClosedError, FutureCancelledError) as error:
        raise ClusterError(f"the cluster is gone ({error})") from error
