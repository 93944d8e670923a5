"""Threads on all cores, for work that releases the GIL: decoding, resampling, numpy."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edgekws.core.events import Emit, progress

R = TypeVar("R")


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


def cores() -> int:
    """Return the number of cores available to this process."""
    return len(os.sched_getaffinity(0))
