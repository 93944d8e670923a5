"""What the fuzzers share: a case, the folder it lies in, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

DATA = frozenset({0, 5})
ANY_INPUT = frozenset({0, 2, 5})
MODELS = frozenset({0, 2, 3, 4, 5})


@dataclass(frozen=True)
class Box:
    """The folders of one case: all that its command may see of the machine."""

    root: Path

    @property
    def inputs(self) -> Path:
        """What was mutated; nothing in it may change."""
        return self.root / "in"

    @property
    def outputs(self) -> Path:
        """The working directory, which the command may write to."""
        return self.root / "out"

    @property
    def cache(self) -> Path:
        """EDGEKWS_CACHE, which the command may write to."""
        return self.root / "cache"

    @property
    def temporary(self) -> Path:
        """TMPDIR, in which nothing may be left."""
        return self.root / "tmp"

    @property
    def home(self) -> Path:
        """HOME, which nothing may be written to."""
        return self.root / "home"

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.inputs, self.outputs, self.cache, self.temporary, self.home):
            folder.mkdir(parents=True)


@dataclass(frozen=True)
class Case:
    """A command line on mutated input.

    Attributes:
        arguments: What follows `edgekws`.
        codes: The exit codes documented for such an input.
        stdin: What is piped to the command.
        fresh: Whether children of the command are new interpreters, as outside of the fuzzers.
        judge: Says what else is wrong, given standard output and the case's box.
    """

    arguments: tuple[str, ...]
    codes: frozenset[int]
    stdin: bytes = b""
    fresh: bool = False
    judge: Callable[[str, Box], list[str]] | None = None


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code (minus the signal that ended it), and what it took.

    `code` is `None` where it had to be stopped.
    """

    code: int | None
    stdout: str
    stderr: str
    wall_s: float
    cpu_s: float
    memory_mib: float


class Kind(Protocol):
    """A kind of input: a module of this package."""

    def prepare(self, folder: Path) -> None:
        """Write what all cases start from into a new folder."""

    def make(self, rng: Random, material: Path, box: Box) -> Case:
        """Write the input of one case into its box."""
