"""Hold the web page of a bundle against onnxruntime and against the bundle's detect.py.

    PYTHONPATH=. python tools/prove_web.py dist/quickstart --speech DIR --output web.json

In Node.js: the golden clips, random windows, random hops, and random networks of every kernel,
bit for bit, with SIMD and without. In Chromium: a long recording, speech of DIR with the golden
clips of keywords in between, from http and from a file; and a shorter one by a fake microphone.
The result is JSON; counts named `different` are 0 where everything is right.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from edgekws.bundle.declared import read_contract, read_json
from edgekws.bundle.export import export
from edgekws.core.protocols import EXPORTER
from edgekws.exporters._web_proof import Reference, compute
from tests.browsers import chromium, wait_until
from tests.codegen.random_operators import random_network
from tests.codegen.wasm_program import BUILDS, differences

if TYPE_CHECKING:
    from playwright.sync_api import Page

Samples = NDArray[np.int16]
Lines = list[dict[str, Any]]
CLOSE_S = 0.1
RATE = 16_000
PATIENCE_MS = 600_000


def exact(page: Path, bundle: Path, windows: int, hops: int) -> dict[str, Any]:
    """Return how many random windows and hops differ in a bit, by module."""
    random = np.random.default_rng(1)
    contract = read_contract(bundle)
    loudness = 10 ** random.uniform(1, 4, (windows, 1))
    size = contract.front_end.window_samples
    clips = (random.standard_normal((windows, size)) * loudness).clip(-32768, 32767)
    reference = Reference(bundle)
    n_mels, frames = contract.input_shape[-2:]
    if reference.stream is not None:
        frames = reference.stream.stream.hop_frames
    runs = random.integers(0, 256, (hops, frames, n_mels)).astype(np.uint8)
    modules = compute(page, bundle, clips.astype(np.int16), runs)
    logits = np.stack([reference.clip(features) for features in modules[0].features])
    if reference.stream is not None:
        reference.stream.reset()
    run_logits = np.stack([reference.run(features) for features in runs])
    different = {
        name: {
            "features": int((module.features != modules[0].features).any(axis=(1, 2)).sum()),
            "windows": int((module.logits != logits).any(axis=1).sum()),
            "hops": int((module.run_logits != run_logits).any(axis=1).sum()),
        }
        for name, module in zip(("simd", "scalar"), modules, strict=True)
    }
    return {"windows": windows, "hops": hops, "different": different}


def networks(n: int) -> dict[str, Any]:
    """Return how many random networks differ from the slow arithmetic, by build."""
    different = dict.fromkeys(BUILDS, 0)
    for build in BUILDS:
        for seed in range(n):
            with tempfile.TemporaryDirectory() as folder:
                network = random_network(seed, 4)
                different[build] += bool(differences(network, build, Path(folder)))
    return {"networks": n, "different": different}


def recording(bundle: Path, speech: Path, seconds: float, gap_s: float) -> Samples:
    """Return speech with a golden clip of a keyword every `gap_s`, between silences."""
    rows = read_json(bundle / "golden" / "golden.json")
    clips = [
        soundfile.read(bundle / "golden" / row["file"], dtype="int16")[0]
        for row in rows
        if not row["label"].startswith("_")
    ]
    files = sorted(path for path in speech.rglob("*") if path.suffix in (".ogg", ".flac", ".wav"))
    talk = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in files])
    pieces, length = [np.zeros(3 * RATE, np.int16)], 3.0
    for number in range(10**6):
        start = round(number * gap_s * RATE) % len(talk)
        part = [talk[start : start + round(gap_s * RATE)], clips[number % len(clips)]]
        pieces += part
        length += sum(map(len, part)) / RATE
        if length >= seconds:
            pieces = [np.concatenate(pieces)[: round((seconds - 2) * RATE)]]
            return np.concatenate([*pieces, np.zeros(2 * RATE, np.int16)])
    raise AssertionError


def detect_py(bundle: Path, wav: Path) -> Lines:
    """Return the lines that the bundle's own runtime prints."""
    command = [sys.executable, str(bundle / "detect.py"), "--stream", str(wav)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def saved(tab: "Page", folder: Path) -> Lines:
    """Return the events that the page saves."""
    with tab.expect_download() as waiting:
        tab.click("#save-events")
    waiting.value.save_as(folder / "events.jsonl")
    text = (folder / "events.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def compared(page: Lines, expected: Lines) -> dict[str, Any]:
    """Return how two lists of events differ."""
    same = [line["keyword"] for line in page] == [line["keyword"] for line in expected]
    result: dict[str, Any] = {"events": len(expected), "same_keywords": same}
    if same:
        pairs = list(zip(page, expected, strict=True))
        for key in ("start_s", "end_s", "score"):
            largest = max(abs(a[key] - b[key]) for a, b in pairs)
            result[f"largest_difference_{key}"] = round(largest, 4)
    return result


def file_in_browser(url: str, wav: Path, folder: Path) -> tuple[Lines, float]:
    """Return the events of a recording, and the seconds that the page took."""
    with chromium() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(url)
        tab.wait_for_selector("body[data-build]")
        started = time.monotonic()
        tab.set_input_files("#file", wav)
        tab.wait_for_selector("body[data-done]")
        return saved(tab, folder), time.monotonic() - started


def heard_in_browser(url: str, wav: Path, seconds: float, folder: Path) -> Lines:
    """Return the events of a recording that a fake microphone plays."""
    fake = f"--use-file-for-fake-audio-capture={wav}%noloop"
    arguments = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", fake)
    with chromium(arguments) as browser:
        tab = browser.new_page(viewport={"width": 500, "height": 400})
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(url)
        tab.wait_for_selector("body[data-build]")
        tab.click("#listen")
        wait_until(tab, f"history.endS > {seconds}", 3 * seconds + 60)
        return saved(tab, folder)


def matched(page: Lines, expected: Lines) -> dict[str, Any]:
    """Return how many events have a partner of their keyword, up to the delay of the start."""
    delays = [a["end_s"] - b["end_s"] for a in page for b in expected
              if a["keyword"] == b["keyword"]]  # fmt: skip
    delay = max(delays, key=lambda delay: len(_off(page, expected, delay)), default=0.0)
    off = _off(page, expected, delay)
    return {
        "events": len(expected),
        "missing": len(expected) - len(off),
        "more": len(page) - len(off),
        "largest_difference_s": round(max(off, default=0.0), 3),
        "start_delay_s": round(delay, 3),
    }


def _off(page: Lines, expected: Lines, delay: float) -> list[float]:
    """Return how far apart the events are that have a partner within `CLOSE_S`."""
    left, off = list(page), list[float]()
    for line in expected:
        for other in left:
            apart = abs(other["end_s"] - delay - line["end_s"])
            if other["keyword"] == line["keyword"] and apart <= CLOSE_S:
                off.append(apart)
                left.remove(other)
                break
    return off


def in_browser(page: Path, bundle: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the results in Chromium."""
    folder = page.parent
    long, short = folder / "long.wav", folder / "short.wav"
    soundfile.write(long, recording(bundle, options.speech, 60 * options.minutes, 6), RATE)
    soundfile.write(short, recording(bundle, options.speech, options.microphone_s, 3), RATE)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = {"file": page.as_uri(), "http": f"http://127.0.0.1:{server.server_port}/{page.name}"}
    expected, short_expected = detect_py(bundle, long), detect_py(bundle, short)
    result: dict[str, Any] = {"file_minutes": options.minutes, "microphone_s": options.microphone_s}
    for name, url in urls.items():
        lines, seconds = file_in_browser(url, long, folder)
        row = compared(lines, expected) | {"seconds": round(seconds, 1)}
        result[f"recording_over_{name}"] = row
        played = heard_in_browser(url, short, options.microphone_s, folder)
        result[f"microphone_over_{name}"] = matched(played, short_expected)
    server.shutdown()
    return result


def main() -> int:
    """Write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="a bundle: its folder")
    parser.add_argument("--speech", type=Path, required=True, help="a folder of speech at 16 kHz")
    parser.add_argument("--windows", type=int, default=500)
    parser.add_argument("--hops", type=int, default=1000)
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the recording")
    parser.add_argument("--microphone-s", type=float, default=60.0, help="length of the other one")
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "page.html"
        exported = export(options.bundle, EXPORTER.validate_python({"kind": "web"}), page)
        result = {
            "bundle_sha256": exported.verified.sha256,
            "page_bytes": page.stat().st_size,
            "golden_clips": exported.verified.clips,
            "exact": exact(page, options.bundle, options.windows, options.hops),
            "random": networks(options.networks),
            "chromium": in_browser(page, options.bundle, options),
        }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
