"""Threads on all cores, for work that releases the GIL: decoding, resampling, numpy.

Those of long work made of short calls wait for the GIL half of the time: `spread` moves it out.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from edgekws.core.events import Emit, progress
from edgekws.core.processes import in_processes

A = TypeVar("A")
R = TypeVar("R")

MANY = 1000
"""Clips from which processes save more time than their start takes."""


def in_parallel(
    task: Callable[[int], R],
    count: int,
    emit: Emit,
    text: str,
    step: int = 100,
    unit: str = "clips",
) -> list[R]:
    """Return `[task(0), …]`, computed by one thread per core, and emit the progress in `unit`.

    If a task fails or the user interrupts, the tasks that have not started are cancelled.
    """
    results: list[R] = []
    pool = ThreadPoolExecutor(cores())
    try:
        for done, result in enumerate(pool.map(task, range(count)), 1):
            results.append(result)
            if done % step == 0 or done == count:
                progress(emit, text, done, count, unit=unit)
    finally:
        pool.shutdown(cancel_futures=True)
    return results


@contextmanager
def spread(task: Callable[[A], R], clips: int) -> Iterator[Callable[[A], R]]:
    """Yield `task` for the threads of `in_parallel`; of `MANY` clips, it runs in other processes.

    Raises:
        EdgekwsError: as `core.processes.in_processes`.
    """
    if clips < MANY or cores() == 1:
        yield task
        return
    with in_processes(task, cores()) as call:
        yield call


def cores() -> int:
    """Return the number of cores available to this process."""
    return len(os.sched_getaffinity(0))
