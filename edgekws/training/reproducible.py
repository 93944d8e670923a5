"""The torch settings under which the same training gives the same bytes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from edgekws.core.job import Job
from edgekws.errors import MissingPartError

_memory: Any = torch.utils.deterministic  # its types lack its only setting


@contextmanager
def reproducible(job: Job) -> Iterator[None]:
    """Use `job.threads` and deterministic algorithms; restore the previous settings afterwards.

    On CUDA, operators without a deterministic implementation (some poolings) run with a warning;
    on the CPU all have one. New memory is not filled with NaN, which takes time and changes nothing
    where every operator writes before it reads.

    Raises:
        MissingPartError: the job asks for CUDA and torch finds none.
    """
    if job.device == "cuda" and not torch.cuda.is_available():
        raise MissingPartError(
            "torch finds no CUDA device; train on the CPU or install a CUDA build of torch"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it at its start
    threads = torch.get_num_threads()
    fill = _memory.fill_uninitialized_memory
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.set_num_threads(job.threads)
    torch.use_deterministic_algorithms(True, warn_only=job.device == "cuda")
    _memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        _memory.fill_uninitialized_memory = fill


def seed_torch(seed: int, epoch: int) -> None:
    """Seed torch's random state (dropout) for `epoch`."""
    entropy = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    torch.manual_seed(int(entropy[0]))
