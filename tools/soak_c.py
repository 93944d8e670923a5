"""Feed hours of made audio to the C of a bundle, in pieces of random length, under sanitizers.

    python tools/soak_c.py dist/quickstart --hours 100
    python tools/soak_c.py dist/quickstart --hours 5 --cflags "-O1 -fsanitize=address,undefined"

The audio is the golden clips of the bundle, noise, silence, square waves at full scale and single
samples, each for a random time; streams are ended and reset, keywords switched off and on. The
result is JSON: hours, pieces, streams and events, and the size of the state, which is all the
memory there is. A sanitizer's finding ends the program, and its report is the message.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from edgekws.bundle.archive import unpacked
from edgekws.codegen import compiler
from edgekws.codegen.c_tables import table
from edgekws.exporters.c import Exporter

SANITIZED = "-O2 -fsanitize=address,undefined -fno-sanitize-recover=all"

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>

#include "kws.h"

#define LONGEST 4000

static kws_state state;
static int16_t pcm[LONGEST];
static kws_event events[KWS_EVENTS(LONGEST) + KWS_FLUSH_EVENTS];
static uint32_t seed, place;

static uint32_t drawn(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static void fill(int32_t n, uint32_t kind)
{
    const int32_t loud = (int32_t)(1u << drawn(16));
    for (int32_t i = 0; i < n; i++) {
        const int32_t noise = (int32_t)drawn((uint32_t)(2 * loud)) - loud;
        pcm[i] = (int16_t)(kind == 0   ? 0
                           : kind == 1 ? (i / 20 % 2 ? 32767 : -32768)
                           : kind == 2 ? (i == n / 2 ? 32767 : 0)
                           : kind == 3 ? noise
                                       : golden[place++ % GOLDEN]);
    }
}

int main(int argc, char **argv)
{
    const int64_t wanted = (int64_t)(atof(argv[1]) * 3600.0 * KWS_SAMPLE_RATE);
    int64_t fed = 0, pieces = 0, streams = 1, count = 0;
    uint32_t kind = 0;

    seed = (uint32_t)atoi(argv[argc - 1]);
    kws_init(&state);
    while (fed < wanted) {
        const int32_t n = (int32_t)drawn(LONGEST);
        if (drawn(50) == 0) {
            kind = drawn(8);
        }
        if (drawn(2000) == 0) {
            count += kws_flush(&state, events);
            streams++;
        }
        if (drawn(2000) == 0) {
            kws_reset(&state);
            streams++;
        }
        if (drawn(2000) == 0) {
            kws_switch(&state, (int32_t)drawn(KWS_KEYWORDS), (int32_t)drawn(2));
        }
        fill(n, kind);
        count += kws_push(&state, pcm, n, events);
        fed += n;
        pieces++;
    }
    printf("%lld %lld %lld %lu", (long long)pieces, (long long)streams, (long long)count,
           (unsigned long)sizeof state);
    return 0;
}
"""


def golden(bundle: Path) -> str:
    """Return the samples of the golden clips as a table in C."""
    clips = [soundfile.read(path, dtype="int16")[0] for path in sorted(bundle.glob("golden/*.wav"))]
    samples = np.concatenate(clips)
    return f"#define GOLDEN {len(samples)}u\n#include <stdint.h>\n" + table(
        "int16_t", "golden", samples
    )


def main() -> int:
    """Print the result; return 1 where the program found something."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="a bundle: its folder or its zip")
    parser.add_argument("--hours", type=float, default=1.0, help="audio to feed")
    parser.add_argument("--seed", type=int, default=1, help="of audio and pieces")
    parser.add_argument("--compiler", help="default: CC, else cc, gcc or clang")
    parser.add_argument("--cflags", default=SANITIZED, help="options of the compiler")
    options = parser.parse_args()
    chosen = compiler.required(options.compiler)
    with tempfile.TemporaryDirectory() as scratch, unpacked(options.bundle) as folder:
        written = Exporter().write(folder, Path(scratch))
        (written / "main.c").write_text(golden(folder) + PROGRAM, encoding="utf-8")
        chosen.program(written, Path(scratch) / "soak", options.cflags.split())
        started = time.monotonic()
        command = [str(Path(scratch) / "soak"), str(options.hours), str(options.seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr or f"ended with {done.returncode}", file=sys.stderr)
        return 1
    pieces, streams, events, state = map(int, done.stdout.split())
    result = {
        "hours": options.hours,
        "pieces": pieces,
        "streams": streams,
        "events": events,
        "state_bytes": state,
        "seconds": round(time.monotonic() - started, 1),
        "compiler": chosen.version,
        "cflags": options.cflags,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
