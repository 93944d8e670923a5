"""What surrounds the C of a spotter in the frameworks of microcontrollers.

One folder a framework, laid out as it is exported; `@NAME@` and its like are replaced. All share
`kws_build.h`, which picks the build that suits the CPU.
"""

from pathlib import Path

BUILD_HEADER = Path(__file__).with_name("kws_build.h")
"""What every source of an exported library includes first."""


def framework_files(framework: str) -> dict[str, Path]:
    """Return the files of a framework by their path in the export.

    >>> sorted(framework_files("arduino"))[:2]
    ['README.md', 'examples/I2S_microphone/I2S_microphone.ino']
    """
    folder = Path(__file__).parent / framework
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}
