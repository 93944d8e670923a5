"""Libraries for the frameworks of microcontrollers: the sources of `c` in the layout of each."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from packaging.version import Version

from edgekws.about import version
from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.pack import identity
from edgekws.codegen.compiler import found
from edgekws.core.fields import Fields
from edgekws.core.protocols import EXPORTER
from edgekws.core.verified import Verified
from edgekws.errors import UsageError
from edgekws.exporters import _c_folder, _c_proof
from edgekws.runtime.boards import BUILD_HEADER, framework_files
from edgekws.runtime.c import kernel_paths

LICENCE = "https://www.apache.org/licenses/LICENSE-2.0"
_SIZE = """\
#include <stdio.h>
#include "kws.h"

int main(void)
{
    return printf("%lu", (unsigned long)sizeof(kws_state)) < 0;
}
"""
_LONGEST_NAME = 16
_LONGEST_LIST = 160


class Library(Fields):
    """What the exporters of all frameworks do; they differ in the files around the C."""

    kind: str

    def files(self) -> Mapping[str, Path]:
        """Return the framework's files, by their place in the library."""
        return framework_files(self.kind)

    def check_output(self, output: Path) -> None:
        """Reject a folder with other content than such a library.

        Raises:
            UsageError: it has other content.
        """
        if reason := _obstacle(output, self.files()):
            raise UsageError(f"{output} {reason}; name another --output")

    def write(self, folder: Path, scratch: Path) -> Path:
        """Write the sources of the bundle in `folder`, and the framework's files around them.

        Raises:
            UsageError, UnsupportedError, ParityError: as the exporter `c`.
        """
        core = EXPORTER.validate_python({"kind": "c"}).write(folder, scratch)
        target = scratch / "library"
        (target / "src").mkdir(parents=True)
        for path in core.glob("*.[ch]"):
            if path.name != "main.c":
                (target / "src" / path.name).write_text(_built(path), encoding="utf-8")
        values = _values(folder, core, scratch)
        header = f"{_c_folder.origin(identity(folder))}\n{_header(values['NAME'])}"
        (target / "src" / f"{values['NAME']}.h").write_text(header, encoding="utf-8")
        _c_folder.copy_source(BUILD_HEADER, target / "src")
        for name, path in self.files().items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(_filled(path.read_text("utf-8"), values), encoding="utf-8")
        return target

    def prove(self, written: Path, folder: Path) -> Verified:
        """Compile the sources and compare the golden clips, bit for bit from the features on.

        Raises:
            ParityError: a bit or a label differs.
        """
        files = sum(path.is_file() for path in written.rglob("*"))
        return replace(_c_proof.prove(written / "src", folder), files=files)


def library_name(recipe: str) -> str:
    """Return the name of the library of a recipe, which is the name of its header, too.

    It has up to 16 letters, digits and underscores. Arduino keeps two words for itself.

    >>> library_name("wake-words"), library_name("My Arduino demo"), library_name("проба")
    ('wake_words_kws', 'my_demo_kws', 'spotter_kws')
    """
    plain = re.sub(r"arduino|library", "", recipe.lower())
    words = re.findall(r"[a-z0-9]+", plain)
    stem = "_".join(words)[: _LONGEST_NAME - len("_kws")].strip("_")
    return f"{stem if re.search('[a-z]', stem) else 'spotter'}_kws"


def _obstacle(output: Path, files: Mapping[str, Path]) -> str | None:
    """Return what stands at `output` and is no such library; `None` if nothing."""
    if output.is_symlink():
        return f"is a link to {output.readlink()}"
    if not output.exists():
        return None
    if not output.is_dir():
        return "is a file"
    names = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    if foreign := sorted(name for name in names if name not in files and not _is_source(name)):
        return f"holds {foreign[0]}, which is no file of such an export"
    build = f"src/{BUILD_HEADER.name}"
    return f"is a folder that holds no {build}" if names and build not in names else None


def _is_source(name: str) -> bool:
    (kernel,) = kernel_paths(("kws.c",))
    folder, _, file = name.rpartition("/")
    known = _c_folder.GENERATED | {path.name for path in kernel.parent.iterdir()}
    return folder == "src" and (file in known or file.endswith(("_kws.h", BUILD_HEADER.name)))


def _built(path: Path) -> str:
    """Return a source that includes `kws_build.h`; headers but `kws.h` are included after it."""
    text = path.read_text("utf-8")
    if path.suffix == ".h" and path.name != "kws.h":
        return text
    licence, end, code = text.partition("*/\n")
    return f'{licence}{end}#include "{BUILD_HEADER.name}"\n{code}'


def _header(name: str) -> str:
    return f"""\
/* What a program includes: by this name, so that two spotters can be installed side by side. */
#ifndef {name.upper()}_H
#define {name.upper()}_H

#include "kws.h"

#endif
"""


def _values(folder: Path, core: Path, scratch: Path) -> dict[str, str]:
    """Return what the placeholders of a framework's files stand for."""
    contract, manifest = read_contract(folder), read_json(folder / "manifest.json")
    keywords = [_plain(label) for label in contract.labels if label[:1] != "_"]
    release = (*Version(version()).release, 0, 0)[:3]
    readme = (core / "README.md").read_text("utf-8")
    table = [line for line in readme.splitlines() if line[:1] == "|"]
    return {
        "NAME": library_name(str(manifest["origin"].get("recipe", ""))),
        "VERSION": ".".join(map(str, release)),
        "COUNT": f"{len(keywords)} keyword{'s' * (len(keywords) != 1)}",
        "KEYWORDS": _listed(keywords),
        "RATE": str(contract.front_end.sample_rate),
        "MEMORY": "\n".join([*table, *_state_rows(core, scratch / "state")]),
        "ORIGIN": f"edgekws {version()} from the bundle {identity(folder)}",
        "LICENCE": LICENCE,
    }


def _state_rows(core: Path, scratch: Path) -> Iterator[str]:
    """Yield table rows of the bytes of a `kws_state`; none where there is no compiler.

    Its members have fixed widths, so that it is as large on the device: there, a front end in
    floats computes one frame at once.
    """
    compiler = found()
    if compiler is None:
        return
    scratch.mkdir()
    for path in core.glob("*.h"):
        shutil.copyfile(path, scratch / path.name)
    (scratch / "size.c").write_text(_SIZE)
    for build, option in {"float": "-DKWS_LANES=1", "integers": "-DKWS_INTEGER"}.items():
        compiler.program(scratch, scratch / build, ["-O0", option])
        done = subprocess.run([scratch / build], capture_output=True, text=True, check=True)
        yield f"| a `kws_state`, all the RAM there is: {build} | {int(done.stdout):,} |"


def _plain(label: str) -> str:
    """Return a label without what a manifest would have to escape."""
    return "".join(char for char in label if char.isprintable() and char not in "\"\\'@")


def _listed(keywords: list[str]) -> str:
    """Return the keywords that fit into a description.

    >>> _listed(["lights", "music"]), len(_listed(["lights"] * 99))
    ('lights, music', 153)
    """

    def fitting() -> Iterator[str]:
        room = _LONGEST_LIST - len(", …")
        for keyword in keywords:
            room -= len(keyword) + 2
            if room < 0:
                yield "…"
                return
            yield keyword

    return ", ".join(fitting())


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders replaced; an unknown one is a bug."""
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)
