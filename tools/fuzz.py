"""Fuzzing: whatever a command is given, it ends in time, says why, and touches nothing else.

    python tools/fuzz.py [--cases 10000 …] [--seed 0] [--kind recipes …] [--case N] [--workers N]

Recipes, tables, recordings, bundles and the cache are mutated (`tools/fuzzing/`), and commands run
on them in processes forked from this one. No case may end as a bug or with a traceback, with an
exit code that is not documented, take more than 10 s of processor time or 2 GiB, write outside of
its output, or change its input. A case depends on the seed, its kind and its number alone: what
fails is printed with the command that runs it again, and its input is kept under `--failures`.
The exit code is 1 where anything failed.
"""

import argparse
import json
import os
import selectors
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tools.fuzzing import campaign  # noqa: E402
from tools.fuzzing.campaign import KINDS, SHARES, Result  # noqa: E402

Spec = tuple[str, int]

STUCK_S = 600
"""A case that is not done by then is stuck in the fuzzer itself: a command has its own limits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases asked for; return the exit code."""
    options = _options(arguments)
    kinds = options.kind or list(KINDS)
    specs = _specs(kinds, options.cases) if options.case is None else [(kinds[0], options.case)]
    campaign.warm()
    results = []
    with campaign.scratch() as folder:
        campaign.prepare(kinds, folder)
        running = _run(specs, options, folder)
        with closing(running), suppress(KeyboardInterrupt):  # and show what there is
            for result in _progress(running, len(specs)):
                results.append(result)
                _tell(result, options.seed)
    print("\n".join(table(results)))
    failed = sum(bool(result.problems) for result in results)
    if failed:
        print(f"{failed} of {len(results)} cases failed; their inputs are in {options.failures}")
    if len(results) < len(specs):
        print(f"{len(specs) - len(results)} cases were not run")
    return int(failed > 0 or len(results) < len(specs))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    of_each = "of all kinds together; repeated, of each --kind"
    parser.add_argument("--cases", type=int, action="append", help=of_each)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", choices=KINDS, help="may be repeated; all")
    parser.add_argument("--case", type=int, help="run this one case of the first --kind")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--failures", type=Path, default=Path("runs/fuzz"), help="folder for inputs"
    )
    options = parser.parse_args(arguments)
    options.cases = options.cases or [10_000]
    if len(options.cases) not in (1, len(options.kind or ())):
        parser.error("--cases is given once, or once for each --kind")
    return options


def _shared(kinds: Sequence[str], cases: int) -> list[int]:
    """Return how many cases each kind has, as their shares say."""
    whole = sum(SHARES[kind] for kind in kinds)
    counts = [cases * SHARES[kind] // whole for kind in kinds]
    return [counts[0] + cases - sum(counts), *counts[1:]]


def _specs(kinds: Sequence[str], cases: Sequence[int]) -> list[Spec]:
    """Return kind and number of every case, with the kinds mixed."""
    counts = dict(zip(kinds, cases if len(cases) > 1 else _shared(kinds, cases[0]), strict=True))
    found = [(n / count, kind, n) for kind, count in counts.items() for n in range(count)]
    return [(kind, n) for _, kind, n in sorted(found)]


def _run(
    specs: Sequence[Spec], options: argparse.Namespace, folder: Path
) -> Generator[Result, None, None]:
    """Yield results as they come from workers, each forked with a share of the cases."""
    workers = []
    with selectors.DefaultSelector() as ready:
        try:
            for n in range(options.workers):
                worker, pipe = _worker(specs[n :: options.workers], options, folder)
                workers.append(worker)
                ready.register(pipe, selectors.EVENT_READ)
            while ready.get_map():
                for key, _ in ready.select():
                    line = key.fileobj.readline()  # type: ignore[union-attr]
                    if line:
                        yield Result(**json.loads(line))
                    else:
                        ready.unregister(key.fileobj)
        finally:
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)


def _worker(
    specs: Sequence[Spec], options: argparse.Namespace, folder: Path
) -> tuple[int, IO[bytes]]:
    """Fork a process that runs cases; return it, and where it writes a line of JSON for each."""
    reading, writing = os.pipe()
    if worker := os.fork():
        os.close(writing)
        return worker, os.fdopen(reading, "rb", buffering=0)
    status = 1
    try:
        for kind, n in specs:
            signal.alarm(STUCK_S)  # which ends the worker, and with it the campaign
            result = campaign.attempt(kind, options.seed, n, folder, options.failures)
            os.write(writing, json.dumps(asdict(result)).encode() + b"\n")
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _progress(results: Iterable[Result], total: int) -> Iterator[Result]:
    """Say every few seconds how far it is, and how long it will still take."""
    started = last = time.monotonic()
    for done, result in enumerate(results, 1):
        yield result
        now = time.monotonic()
        if now - last > 5:
            last = now
            left_s = (now - started) / done * (total - done)
            print(f"{done:,} of {total:,}, {left_s / 60:.1f} min left", file=sys.stderr, flush=True)


def _tell(result: Result, seed: int) -> None:
    if result.problems:
        again = f"python tools/fuzz.py --kind {result.kind} --seed {seed} --case {result.index}"
        print(f"FAILED {'; '.join(result.problems)}\n    {again}", flush=True)


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of a table: cases, exit codes, the slowest and the largest of every kind."""
    yield f"{'kind':<9}{'cases':>7}{'failed':>8}{'CPU s':>8}{'slowest s':>11}{'MiB':>7}  exit codes"
    for kind in KINDS:
        own = [result for result in results if result.kind == kind]
        if own:
            codes = Counter("stopped" if r.code is None else str(r.code) for r in own)
            counts = ", ".join(f"{code}: {n:,}" for code, n in sorted(codes.items()))
            yield (
                f"{kind:<9}{len(own):>7,}{sum(bool(r.problems) for r in own):>8}"
                f"{sum(r.cpu_s for r in own):>8.0f}{max(r.cpu_s for r in own):>11.1f}"
                f"{max(r.memory_mib for r in own):>7.0f}  {counts}"
            )


if __name__ == "__main__":
    sys.exit(main())
