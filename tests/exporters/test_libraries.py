"""A bundle as a library for microcontrollers: the rules of each framework, and events as in C."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kconfiglib
import pytest
import yaml
from typer.testing import CliRunner

from edgekws.bundle.export import check_output
from edgekws.cli.app import app
from edgekws.core.protocols import EXPORTER, Exporter
from edgekws.errors import UsageError
from edgekws.runtime.c import kernel_paths
from tests.int8_bundle import noise

BOARDS = Path(__file__).parent / "boards"
NAME = "x_kws"
KINDS = ("arduino", "esp_idf", "platformio", "zephyr")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
PROGRAMS = {
    "pdm": ("arduino", "examples/PDM_microphone/PDM_microphone.ino", "arduino"),
    "i2s": ("arduino", "examples/I2S_microphone/I2S_microphone.ino", "arduino"),
    "esp_idf": ("esp_idf", "examples/microphone/main/main.c", "esp_idf"),
    "zephyr": ("zephyr", "samples/microphone/src/main.c", "zephyr"),
}
"""The examples: exporter, path, and the folder of `boards` that stands for the framework."""


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def exporter(kind: str) -> Exporter:
    return EXPORTER.validate_python({"kind": kind})


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def written(streaming_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bundle as C and as each of the libraries, by kind."""
    scratch = {kind: tmp_path_factory.mktemp(kind) for kind in ("c", *KINDS)}
    return {
        kind: exporter(kind).write(streaming_bundle, folder) for kind, folder in scratch.items()
    }


@pytest.fixture(scope="module")
def objects(written: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The object files of the library's sources, built without a flag that is its own."""
    needs("gcc", "g++")
    folder = tmp_path_factory.mktemp("objects")
    sources = sorted(str(path) for path in (written["arduino"] / "src").glob("*.c"))
    subprocess.run(["gcc", "-c", "-O1", *sources], cwd=folder, check=True)
    return sorted(str(path) for path in folder.glob("*.o"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_sources_are_those_of_the_c_export(written: dict[str, Path], kind: str) -> None:
    core = {path.name: path.read_text("utf-8") for path in written["c"].glob("*.[ch]")}
    library = {path.name: path.read_text("utf-8") for path in (written[kind] / "src").iterdir()}
    assert set(library) - set(core) == {"kws_build.h", f"{NAME}.h"}
    assert set(core) - set(library) == {"main.c"}
    for name in set(core) & set(library):
        included = library[name].count('#include "kws_build.h"\n')
        assert included == (name == "kws.h" or name.endswith(".c")), name
        assert library[name].replace('#include "kws_build.h"\n', "") == core[name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_tells_what_a_user_needs(written: dict[str, Path], kind: str) -> None:
    texts = {path: text for path, text in contents(written[kind]).items() if "src/" not in path}
    assert not [path for path, text in texts.items() if re.search(rb"@[A-Z]+@", text)]
    readme = (written[kind] / "README.md").read_text("utf-8")
    for title in ("Build", "Memory", "Float or integers", "Thresholds", "Licence"):
        assert f"\n## {title}" in readme
    assert "weights, biases and scales of the network, constant | 2,136 |" in readme
    assert re.search(r"all the RAM there is: float \| [1-9],\d{3} \|", readme)


def test_the_command_line_writes_and_proves_a_component(
    streaming_bundle: Path, tmp_path: Path
) -> None:
    needs("cc")
    output = tmp_path / "component"
    given = ["export", str(streaming_bundle), "--output", str(output)]
    done = CliRunner().invoke(app, [*given, "--to", "esp-idf"])
    assert done.exit_code == 0, done.output
    assert f"{len(contents(output))} files as they were packed; 4 golden clips" in done.output
    done = CliRunner().invoke(app, [*given, "--to", "esp-idff"])
    assert (done.exit_code, "did you mean esp-idf?" in done.output) == (2, True)


def test_what_is_no_such_library_is_not_replaced(
    written: dict[str, Path], streaming_bundle: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(written["zephyr"], tmp_path / "module"))
    check_output(streaming_bundle, exporter("zephyr"), output)
    (output / "build").mkdir()
    (output / "build" / "zephyr.elf").write_text("x")
    with pytest.raises(UsageError, match=r"module holds build/zephyr\.elf, which is no file of su"):
        check_output(streaming_bundle, exporter("zephyr"), output)
    shutil.rmtree(output / "build")
    with pytest.raises(UsageError, match=r"module holds CMakeLists\.txt, which is no file of such"):
        check_output(streaming_bundle, exporter("arduino"), output)
    (output / "src" / "kws_build.h").unlink()
    with pytest.raises(UsageError, match=r"module is a folder that holds no src/kws_build\.h"):
        check_output(streaming_bundle, exporter("zephyr"), output)


def events(text: str) -> list[tuple[Any, ...]]:
    """Return keyword, start, end and score of the lines that an example prints."""
    line = re.compile(r"^(.+) ([\d.]+)-([\d.]+) s, score ([\d.]+)$", re.MULTILINE)
    rows = line.findall(text)
    return [
        (keyword, float(start), float(end), float(score)) for keyword, start, end, score in rows
    ]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_prints_the_events_of_the_c_export(
    written: dict[str, Path], objects: list[str], tmp_path: Path, program: str
) -> None:
    kind, path, board = PROGRAMS[program]
    samples = noise(20).tobytes()
    include = ["-I", str(written[kind] / "src"), "-I", str(BOARDS / board)]
    if board == "arduino":
        shutil.copyfile(written[kind] / path, tmp_path / "sketch.cpp")
        parts = [str(tmp_path / "sketch.cpp"), str(BOARDS / board / "board.cpp")]
        command = ["g++", "-O1", *WARNINGS, *include, *parts, *objects]
    else:
        parts = [str(written[kind] / path), str(BOARDS / board / "board.c")]
        command = ["gcc", "-O1", *WARNINGS, *include, *parts, *objects]
    subprocess.run([*command, "-o", "example"], cwd=tmp_path, check=True)
    done = subprocess.run(["./example"], cwd=tmp_path, input=samples, capture_output=True)
    core = ["gcc", "-O1", str(written["c"] / "main.c"), "-I", str(written["c"]), *objects]
    subprocess.run([*core, "-o", "kws"], cwd=tmp_path, check=True)
    expected = subprocess.run(["./kws", "-"], cwd=tmp_path, input=samples, capture_output=True)
    rows = [line.split("\t") for line in expected.stdout.decode().splitlines()]
    reported = events(done.stdout.decode())
    ended = len(rows) - len(reported)  # what the end of the stream brings: a board has none
    assert len(reported) > 3
    assert 0 <= ended <= 2
    for (keyword, *figures), row in zip(reported, rows, strict=False):
        assert keyword == row[1]
        assert figures == pytest.approx([float(text) for text in row[2:]], abs=0.0011)


def properties(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text("utf-8").splitlines())


def test_the_arduino_library_keeps_the_rules_of_arduino_lint(written: dict[str, Path]) -> None:
    library = written["arduino"]
    fields = properties(library / "library.properties")
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.-]{0,15}", fields["name"])
    assert not re.search("arduino|library", fields["name"].lower())
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] == "Data Processing"
    assert fields["url"].startswith("https://")
    for name in ("author", "maintainer", "sentence", "paragraph", "architectures"):
        assert fields[name].strip() == fields[name] != ""
    assert fields["includes"] == f"{fields['name']}.h"
    assert (library / "src" / fields["includes"]).is_file()
    assert (library / "README.md").is_file()
    rows = [line.split("\t") for line in (library / "keywords.txt").read_text().splitlines()]
    assert {kind for _, kind in rows} == {"KEYWORD1", "KEYWORD2", "LITERAL1"}
    header = "".join(path.read_text("utf-8") for path in (library / "src").glob("*.h"))
    assert [name for name, _ in rows if not re.search(rf"\b{name}\b", header)] == []
    sketches = sorted(library.rglob("*.ino"))
    assert len(sketches) == 2
    for sketch in sketches:
        assert sketch.parent.parent == library / "examples"
        assert sketch.stem == sketch.parent.name
    for path in contents(library):
        assert re.fullmatch(r"[A-Za-z0-9_./-]{1,63}", path), path


KERNELS = sorted(kernel_paths(("kws.c",))[0].parent.glob("network_*.c"))
M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16")
CPUS = {
    M4F: False,
    ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft"): True,
    ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"): False,
    ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"): False,
    ("-mcpu=cortex-m3", "-mthumb"): True,
    ("-mcpu=cortex-m0plus", "-mthumb"): True,
}
"""Flags of boards, and whether the build is then in integers."""


@pytest.mark.parametrize("flags", CPUS, ids=" ".join)
def test_a_cpu_without_an_fpu_gets_integers(
    written: dict[str, Path], flags: tuple[str, ...]
) -> None:
    needs("arm-none-eabi-gcc")
    for header, language in ((f"{NAME}.h", "c"), (f"{NAME}.h", "c++"), ("kws.h", "c")):
        command = ["arm-none-eabi-gcc", *flags, "-x", language, "-E", "-dM", header]
        done = subprocess.run(
            command, cwd=written["arduino"] / "src", capture_output=True, text=True, check=True
        )
        assert ("#define KWS_INTEGER" in done.stdout) == CPUS[flags]


def test_the_library_compiles_for_a_cortex_m4_and_needs_no_flags_to_be_exact(
    written: dict[str, Path], tmp_path: Path
) -> None:
    needs("arm-none-eabi-gcc", "arm-none-eabi-g++")
    source = written["arduino"] / "src"
    paths = sorted(source.glob("*.c"))
    others = {path.name for path in KERNELS} - {path.name for path in paths}
    paths += [path for path in KERNELS if path.name in others]  # of other networks
    built = {}
    for name, flags in {"as": (), "exact": ("-ffp-contract=off",)}.items():
        (tmp_path / name).mkdir()
        command = ["arm-none-eabi-gcc", *M4F, "-O2", *WARNINGS, *flags, "-S", "-I", str(source)]
        first = ["-include", "kws_build.h"]
        subprocess.run([*command, *first, *map(str, paths)], cwd=tmp_path / name, check=True)
        built[name] = contents(tmp_path / name)
    assert built["as"] == built["exact"]
    assert b"vfma.f32" in built["as"]["network_add.s"]  # asked for in the source, there alone
    assert [name for name, text in built["as"].items() if b"vfma" in text] == ["network_add.s"]
    for sketch in written["arduino"].rglob("*.ino"):
        include = ["-I", str(source), "-I", str(BOARDS / "arduino")]
        command = ["arm-none-eabi-g++", *M4F, *WARNINGS, "-fsyntax-only", "-x", "c++"]
        subprocess.run([*command, *include, str(sketch)], check=True)


def test_cmake_compiles_every_source_of_component_and_module(
    written: dict[str, Path], tmp_path: Path
) -> None:
    needs("cmake", "make", "cc")
    places = [f"-DCOMPONENT={written['esp_idf']}", f"-DMODULE={written['zephyr']}"]
    options = ["-DCONFIG_EDGEKWS=y", "-DCONFIG_EDGEKWS_INTEGER=y"]
    command = ["cmake", "-S", str(BOARDS / "cmake"), "-B", str(tmp_path), *places, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "compile_commands.json").read_text())
    assert all("-DKWS_INTEGER" in row["command"] for row in rows)
    assert all("-ffp-contract=off" in row["command"] for row in rows)
    sources = {path for kind in ("esp_idf", "zephyr") for path in (written[kind]).glob("src/*.c")}
    assert {Path(row["file"]) for row in rows} == sources
    assert len(sources) == 2 * len(list(written["c"].glob("*.c"))) - 2


KERNEL = """
config CPU_HAS_FPU
    def_bool {has}
config FPU
    bool "Floating-point unit"
    depends on CPU_HAS_FPU
source "{kconfig}"
"""


@pytest.mark.parametrize("has", ["y", "n"])
def test_kconfig_chooses_integers_where_there_is_no_fpu(
    written: dict[str, Path], tmp_path: Path, has: str
) -> None:
    text = KERNEL.format(has=has, kconfig=written["zephyr"] / "Kconfig")
    (tmp_path / "Kconfig").write_text(text)
    options = kconfiglib.Kconfig(str(tmp_path / "Kconfig"), suppress_traceback=True)
    assert options.warnings == []
    options.load_config(str(written["zephyr"] / "samples/microphone/prj.conf"))
    assert (options.syms["FPU"].str_value, options.syms["EDGEKWS_INTEGER"].str_value) == (
        ("y", "n") if has == "y" else ("n", "y")
    )
    component = kconfiglib.Kconfig(str(written["esp_idf"] / "Kconfig"), suppress_traceback=True)
    assert component.warnings == []
    assert component.syms["EDGEKWS_INTEGER"].str_value == "n"


def test_the_manifests_name_what_is_there(written: dict[str, Path]) -> None:
    module: dict[str, Any] = yaml.safe_load((written["zephyr"] / "zephyr/module.yml").read_text())
    assert module["build"] == {"cmake": ".", "kconfig": "Kconfig"}
    assert (written["zephyr"] / module["samples"][0] / "microphone" / "sample.yaml").is_file()
    component = yaml.safe_load((written["esp_idf"] / "idf_component.yml").read_text("utf-8"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", component["version"])
    assert component["license"] == "Apache-2.0"
    assert [(written["esp_idf"] / row["path"]).is_dir() for row in component["examples"]] == [True]
    library = json.loads((written["platformio"] / "library.json").read_text("utf-8"))
    assert (module["name"], library["name"]) == (NAME, NAME)
    assert len(library["description"]) <= 255
    assert (written["platformio"] / "src" / library["headers"]).is_file()
    for example in library["examples"]:
        for file in example["files"]:
            assert (written["platformio"] / example["base"] / file).is_file()


def test_the_platformio_examples_are_those_of_the_other_libraries(
    written: dict[str, Path],
) -> None:
    examples = written["platformio"] / "examples"
    sketch = written["arduino"] / "examples/PDM_microphone/PDM_microphone.ino"
    program = written["esp_idf"] / "examples/microphone/main/main.c"
    assert (examples / "nano33ble/src/main.cpp").read_text() == sketch.read_text()
    assert (examples / "esp32/src/main.c").read_text() == program.read_text()
