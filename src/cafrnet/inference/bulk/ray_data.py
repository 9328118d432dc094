"""Many machines: Ray Data hands cases to actors that have loaded the model once.

Ray schedules, restarts dead workers and redoes what they had begun. What is finished is decided here as
everywhere: by the record beside the label map. So a case that a worker finished before it died is found
finished, and is not done again. All machines must see the same input, model and output folders.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...errors import MissingExtraError, UsageError
from ...files import sweep
from ...labels import get_scheme
from ..batch import SLICES_AT_ONCE, segment_one
from ..inputs import Job
from ..model import Model
from ..stages import Request
from .outcomes import Ledger, Outcome, Progress
from .shared_engine import SharedEngine

logger = logging.getLogger(__name__)

#: How often a case is tried when its worker dies, before the case is taken for the cause.
TRIES = 3
#: The fields of a job and of an outcome that travel.
PATHS = ("source", "labels", "preview", "record")
FATE = ("status", "message", "usage", "full")
#: What Ray would otherwise say or send: it reports its use to its makers, and tells every step on stderr.
SILENCE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_LOG_LEVEL": "ERROR", "RAY_BACKEND_LOG_LEVEL": "fatal"}
#: Memory of Ray's object store on this machine: only names and outcomes pass through it.
STORE_BYTES = 100 << 20


@dataclass(frozen=True)
class RayOptions:
    """Where and with how much.

    Attributes:
        address: of a running cluster (``"auto"``, ``host:port`` or ``ray://host:port``); None starts one on
            this machine and ends it afterwards.
        actors: how many models are loaded at once; None as many as the cluster has room for.
        cpus: cores of one actor, and threads of its network (at least one).
        gpus: of one actor; a part of one is allowed.

    Raises:
        UsageError: a number that makes no sense.
    """

    address: str | None = None
    actors: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.actors is not None and self.actors < 1:
            raise UsageError(f"{self.actors} Ray actors came, at least 1 was expected")
        if not self.cpus > 0:
            raise UsageError(f"{self.cpus:g} cores for each Ray actor came, more than 0 were expected")
        if not self.gpus >= 0:
            raise UsageError(f"{self.gpus:g} GPUs for each Ray actor came, 0 or more were expected")

    @property
    def threads(self) -> int:
        """Threads of an actor's network."""
        return max(1, int(self.cpus))


@dataclass(frozen=True)
class Work:
    """What an actor needs to know, sent to it once.

    Attributes:
        load: returns the model; called once in each actor.
        options: of :func:`cafrnet.inference.segment_files`: series, pixel_mm, labels, overwrite.
        at_once: cases that one actor has under way.
    """

    load: Callable[[], Model]
    options: dict[str, Any]
    at_once: int = 1


class Attempts:
    """Counts how often each case was begun; an actor of its own, so that it outlives the workers."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}

    def so_far(self, number: int) -> int:
        """Return how often a case was begun."""
        return self._begun.get(number, 0)

    def begin(self, number: int) -> int:
        """Note that a case begins, and return how often it has, this time included."""
        self._begun[number] = self.so_far(number) + 1
        return self._begun[number]


class Segmenter:
    """What runs in a Ray actor: one model, any number of cases.

    A case that was under way when its worker died is tried again alone, so that it can't take others with it
    a second time; after :data:`TRIES` deaths it is taken for their cause.
    """

    def __init__(self, work: Work, attempts: Any) -> None:
        model = work.load()
        self._work, self._attempts = work, attempts
        model = replace(model, engine=SharedEngine(model.engine, SLICES_AT_ONCE))
        self._request = Request(model, **work.options)
        self._places, self._queue = threading.Semaphore(work.at_once), threading.Lock()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Segment one case; returns its number, its fate, and what was to be warned of."""
        import ray

        number = int(row["number"])
        job = Job(*(Path(row[name]) for name in PATHS))
        again = ray.get(self._attempts.so_far.remote(number)) > 0
        with self._room(self._work.at_once if again else 1), _listening() as said:
            if ray.get(self._attempts.begin.remote(number)) > TRIES:
                outcome = _died(job)
            else:
                outcome = segment_one(job, self._request)
        fate = {name: getattr(outcome, name) for name in FATE}
        return {"number": number, **fate, "said": "\n".join(said)}

    @contextmanager
    def _room(self, places: int) -> Iterator[None]:
        with self._queue:  # one at a time takes places: two that each wait for all would wait for ever
            for _ in range(places):
                self._places.acquire()
        try:
            yield
        finally:
            self._places.release(places)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Yield a list of what this thread warns of, to be said again where the user sits."""
    said: list[str] = []
    handler = _Listener(said)
    logging.getLogger("cafrnet").addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("cafrnet").removeHandler(handler)


class _Listener(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said, self._thread = said, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._said.append(record.getMessage())


def segment_on_ray(
    jobs: Sequence[Job],
    load: Callable[[], Model],
    ray_options: RayOptions,
    *,
    at_once: int = 1,
    journal: Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> list[Outcome]:
    """Segment scans in Ray actors, each with a model of its own.

    A case whose worker dies is tried again, on whatever machine has room; one that is there every time when
    its worker dies is failed, and the others go on.

    Args:
        jobs: with paths that every machine understands.
        load: returns the model; sent to the actors and called there.
        ray_options: where and with how much.
        at_once: scans that one actor has under way; more than one lets it read and write during inference.
        journal: file that gets one JSON line for each scan, written here.
        progress: called here after each scan with its number from 1, the count, and what became of it.
        options: series, pixel_mm, labels and overwrite of :func:`cafrnet.inference.segment_files`.

    Returns:
        One outcome per job, in order.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: no such cluster, no room for an actor in it, or the model can't be loaded there.
        Interrupted: Ctrl-C.
    """
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise MissingExtraError("segmenting on many machines", "ray")
    if at_once < 1:
        raise UsageError(f"{at_once} scans at once came, at least 1 was expected")
    get_scheme(options.get("labels", "cafrnet"))
    ledger = Ledger(jobs, journal, progress)
    outputs = [path for job in jobs for path in job.outputs]
    sweep(outputs)
    try:
        if jobs:
            with _cluster(ray_options):
                _hand_out(ledger, Work(load, options, at_once), ray_options)
    except KeyboardInterrupt as stop:
        raise ledger.interrupted() from stop
    sweep(outputs)  # of workers that died
    return ledger.outcomes()


def _died(job: Job) -> Outcome:
    return Outcome(
        job,
        "failed",
        f"{job.source}: its worker died {TRIES} times (killed, or out of memory); give each more memory, for "
        "example by fewer Ray actors",
    )


def _hand_out(ledger: Ledger, work: Work, options: RayOptions) -> None:
    """Hand out the cases, each as a task of its own, and note what comes back."""
    import ray
    from ray.exceptions import RayError

    rows = [_row(index, job) for index, job in enumerate(ledger.jobs)]
    size: dict[str, Any] = (
        {"min_size": 1} if options.actors is None else {"size": min(options.actors, len(rows))}
    )
    pool = ray.data.ActorPoolStrategy(
        **size,
        max_tasks_in_flight_per_actor=work.at_once,
        max_concurrent_calls_per_actor=work.at_once,
        enable_true_multi_threading=True,
    )
    actor: Any = Segmenter
    attempts = ray.remote(num_cpus=0)(Attempts).remote()
    fates = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        actor,
        fn_constructor_args=(work, attempts),
        compute=pool,
        num_cpus=options.cpus,
        num_gpus=options.gpus,
    )
    tables: Any = fates.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow")
    try:
        for fate in (fate for table in tables for fate in table.to_pylist()):
            for sentence in fate["said"].splitlines():
                logger.warning("%s", sentence)
            index = fate["number"]
            ledger.note(index, Outcome(ledger.jobs[index], **{name: fate[name] for name in FATE}))
            if ledger.full:
                return
    except RayError as error:
        raise UsageError(f"Ray could not go on: {_last_line(error)}") from error


def _row(index: int, job: Job) -> dict[str, Any]:
    return {"number": index, **{name: os.path.abspath(getattr(job, name)) for name in PATHS}}


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _cluster(options: RayOptions) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine and end it afterwards."""
    for name, value in SILENCE.items():
        os.environ.setdefault(name, value)
    import ray

    mine = not ray.is_initialized()
    if mine:
        local: dict[str, Any] = (
            {} if options.address else {"object_store_memory": STORE_BYTES, "include_dashboard": False}
        )
        try:
            ray.init(options.address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            where = options.address or "this machine"
            raise UsageError(f"no Ray cluster at {where}: {_last_line(error)}") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        _refuse_without_room(ray.cluster_resources(), options)
        yield
    finally:
        if mine:
            ray.shutdown()


def _refuse_without_room(has: dict[str, float], options: RayOptions) -> None:
    """Raise UsageError where no actor fits, since Ray would wait for room for ever."""
    for name, wanted in (("CPU", options.cpus), ("GPU", options.gpus)):
        if wanted > has.get(name, 0):
            raise UsageError(
                f"the Ray cluster has {has.get(name, 0):g} {name} in all, an actor was to have {wanted:g}; "
                f"give --ray-{name.lower()}s a smaller number or add machines"
            )
