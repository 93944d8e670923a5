"""Mutation testing of the numeric modules: what can change in them without a test noticing?

    python tools/mutate.py [MODULE …] [--most 30] [--seed 0] [--again]

MODULE is a path such as edgekws/metrics/graph.py; without one, all of `tools/mutants.py`'s EXTRAS
are taken. A module's tests are the file that mirrors it (tests/metrics/test_graph.py), the extras
named there, and its own doctests. One mutant at a time is written into a copy of the package, never
into the working tree, and tested in a process forked after the heavy libraries are imported: first
the tests that reach its lines, quickest first, up to the first that fails; where all of them pass,
every test of the module, and only then has it survived. `--most` draws that many of a module's
mutants by `--seed`.

Results go into docs/results/mutations.json, module by module; tools/render_docs.py writes the page
from them. The reason why a survivor is equivalent or harmless is written by hand into its "reason"
there, and is kept as long as the same change of the same line survives. `--again` tries only
what the tests of a module that has not changed did not kill.
"""

import argparse
import gc
import hashlib
import importlib
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from mutants import EXTRAS, Mutant, drawn, mutants

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results" / "mutations.json"
HEAVY = ("numpy", "scipy.stats", "scipy.signal", "hypothesis", "onnx", "onnxruntime", "torch")
OURS = ("edgekws", "tests", "conftest", "torchaudio")
"""What is imported again for every mutant; torchaudio because `edgekws` amends it."""
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")
REWRITE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # hypothesis is imported already
LEAST_CPU_S, MEMORY = 10.0, 24 << 30

SHOWN = ("line", "column", "scope", "code", "original", "mutant")

Row = dict[str, Any]


class Recorder:
    """A pytest plugin: the lines of one file that each test reaches, and how long it takes."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self.lines: dict[str, set[int]] = {}
        self.shared: set[int] = set()
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Record the lines of fixtures, which other tests may share."""
        with self._recorded(self.shared):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Record the lines of a test."""
        with self._recorded(self.lines.setdefault(item.nodeid, set())):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up setup, call and teardown."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    @contextmanager
    def _recorded(self, lines: set[int]) -> Iterator[None]:
        def local(frame: FrameType, event: str, argument: object) -> Any:
            lines.add(frame.f_lineno)
            return local

        def enter(frame: FrameType, event: str, argument: object) -> Any:
            return local if frame.f_code.co_filename == self._file else None

        sys.settrace(enter)
        try:
            yield
        finally:
            sys.settrace(None)


class Selection:
    """A pytest plugin that runs the named tests alone, in their order."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._place = {name: i for i, name in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep and sort."""
        kept = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(kept, key=lambda item: self._place[item.nodeid])


def forked(work: Callable[[], int], cpu_s: float, log: Path) -> int | None:
    """Return the exit status of `work` in a forked process, or None where it ran out of time.

    That is `cpu_s` of its own CPU time, so that other load on the machine does not decide, or ten
    times as long by the clock.
    """
    child = os.fork()
    if not child:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(cpu_s), math.ceil(cpu_s) + 1))
        status = 3
        try:
            status = work()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + 10 * cpu_s
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return None if code == -signal.SIGXCPU else code
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


class Module:
    """A module in the copy, its tests, and what they reach."""

    def __init__(self, name: str, copy: Path) -> None:
        """Run the tests once as they are.

        Raises:
            SystemExit: a test fails without any mutant.
        """
        self.name, self._copy, self._file = name, copy, copy / name
        self.source = self._file.read_text(encoding="utf-8")
        self.files = test_files(name, self.source, copy)
        self._log = copy.parent / "log.txt"
        self._record()

    def _record(self) -> None:
        reached = self._copy.parent / "reached.json"
        recorder = Recorder(self._file)

        def work() -> int:
            status = pytest.main([*OPTIONS, *REWRITE, *self.files], plugins=[recorder])
            lines = {test: sorted(found) for test, found in recorder.lines.items()}
            found = (lines, sorted(recorder.shared), recorder.seconds, third_party())
            reached.write_text(json.dumps(found), encoding="utf-8")
            return int(status)

        if forked(work, 1200, self._log) != 0:
            raise SystemExit(f"{self.name}: its tests fail:\n{self._log.read_text()[-3000:]}")
        found = json.loads(reached.read_text(encoding="utf-8"))
        self._lines, self._shared, self._seconds, imported = found
        preload(imported)
        self.tests = sorted(self._lines, key=lambda test: self._seconds[test])

    def fate(self, mutant: Mutant) -> str:
        """Return "killed", "survived" or "timeout"."""
        lines = set(mutant.lines)
        near = [t for t in self.tests if lines & set(self._lines[t])]
        few = 0 < len(near) < len(self.tests) and not lines & set(self._shared)
        rounds = [near, self.tests] if few else [self.tests]
        for bytecode in self._file.parent.glob(f"__pycache__/{self._file.stem}.*.pyc"):
            bytecode.unlink()
        self._file.write_text(mutant.text, encoding="utf-8")
        try:
            return next((found for found in map(self._tested, rounds) if found), "survived")
        finally:
            self._file.write_text(self.source, encoding="utf-8")

    def _tested(self, tests: Sequence[str]) -> str:
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        cpu_s = LEAST_CPU_S + 2 * sum(self._seconds[test] for test in tests)

        def work() -> int:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            without_shrinking()
            options = [*OPTIONS, *REWRITE, "--tb=no", *files]
            return int(pytest.main(options, plugins=[Selection(tests)]))

        status = forked(work, cpu_s, self._log)
        return "timeout" if status is None else "killed" if status else ""


def without_shrinking() -> None:
    """Let hypothesis stop at the first failure instead of looking for a simpler one."""
    from hypothesis import Phase, settings

    settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None)
    settings.load_profile("mutants")


def third_party() -> list[str]:
    """Return the names of the installed modules that are imported, in the order of import."""
    files = ((name, getattr(module, "__file__", None)) for name, module in sys.modules.items())
    installed = [name for name, file in files if file and "site-packages" in file]
    return [name for name in installed if name.partition(".")[0] not in OURS]


def preload(names: Sequence[str]) -> None:
    """Import modules here, so that no child has to; those that cannot be are left to it."""
    for name in names:
        with suppress(ImportError, OSError):
            importlib.import_module(name)
    if "edgekws" in sys.modules:
        raise SystemExit("edgekws is imported already: mutants would not be")
    gc.freeze()


def test_files(name: str, source: str, root: Path) -> list[str]:
    """Return the paths of a module's tests."""
    path = Path(name)
    mirror = Path("tests", *path.parts[1:-1], f"test_{path.stem.lstrip('_')}.py")
    doctests = [name] if ">>>" in source else []
    mirrored = [str(mirror)] if (root / mirror).is_file() else []
    return list(dict.fromkeys([*doctests, *mirrored, *EXTRAS.get(name, ())]))


@contextmanager
def copied() -> Iterator[Path]:
    """Give a copy of package and tests, from which `edgekws` is imported here and in children."""
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Path(folder, "copy")
        for part in ("edgekws", "tests", "recipes", "docs"):
            shutil.copytree(ROOT / part, copy / part)
        for part in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / part, copy / part)
        Path(folder, "tmp").mkdir()
        data = os.environ.get("EDGEKWS_TEST_DATA", str(ROOT.parent / "shared" / "data"))
        os.environ |= {"PYTHONPATH": str(copy), "TMPDIR": f"{folder}/tmp", "OMP_NUM_THREADS": "1"}
        os.environ |= {"EDGEKWS_CACHE": f"{folder}/cache", "EDGEKWS_TEST_DATA": data}
        os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "HABANA_LOGS": f"{folder}/tmp"}
        os.chdir(copy)
        sys.path[:0] = [str(copy)]
        preload(HEAVY)
        yield copy


def identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the identity of a mutant, independent of its line number."""
    return tuple(row[key] for key in SHOWN[1:])


def tried(module: Module, before: Row, options: argparse.Namespace) -> Row:
    """Return the results of a module; those `before` are kept where they are not tried again."""
    sha256 = hashlib.sha256(module.source.encode()).hexdigest()
    possible = mutants(module.source)
    rows: list[Row] = before.get("mutants", [])
    reasons = {identity(row): row["reason"] for row in rows if "reason" in row}
    again = options.again and before.get("sha256") == sha256
    kept = [row for row in rows if row["fate"] == "killed"] if again else []
    left = {(row["line"], *identity(row)) for row in rows if row["fate"] != "killed"}
    if again:
        some = [one for one in possible if (one.line, *identity(asdict(one))) in left]
    else:
        some = drawn(possible, options.most, options.seed)
    fresh: list[Row] = []
    for one in some:
        row = {k: getattr(one, k) for k in SHOWN}
        row["fate"] = module.fate(one)
        if row["fate"] == "survived" and identity(row) in reasons:
            row["reason"] = reasons[identity(row)]
        if row["fate"] != "killed":
            print(f"{module.name}:{one.line}: {one.original} → {one.mutant}: {row['fate']}")
            print(f"    {one.code}", flush=True)
        fresh.append(row)
    everything = sorted([*kept, *fresh], key=lambda row: row["line"])
    return {"sha256": sha256, "possible": len(possible), "mutants": everything}


def dumped(results: Mapping[str, Any]) -> str:
    """Return JSON with one mutant a line."""
    modules = []
    for name, module in sorted(results.items()):
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in module["mutants"])
        head = f'"sha256": "{module["sha256"]}", "possible": {module["possible"]}'
        modules.append(f'"{name}": {{{head}, "mutants": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(modules) + "\n}\n"


def main() -> None:
    """Try what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--most", type=int, default=30, help="mutants a module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="try what was not killed")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    with copied() as copy:
        for name in options.modules or EXTRAS:
            start = time.monotonic()
            module = Module(name, copy)
            results[name] = tried(module, results.get(name, {}), options)
            RESULTS.write_text(dumped(results), encoding="utf-8")
            print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
