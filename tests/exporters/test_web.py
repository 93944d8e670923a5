"""A bundle as a web page: proven in Node.js and tried in a browser, from a file."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from edgekws.bundle.export import Exported
from edgekws.bundle.export import export as export_as
from edgekws.codegen import wasm
from edgekws.core.protocols import EXPORTER
from edgekws.errors import MissingPartError, ParityError, UsageError
from edgekws.exporters import _web_page, _web_proof
from edgekws.runtime import web
from edgekws.runtime.detect import Detector
from tests.browsers import chromium, wait_until
from tests.codegen.wasm_program import skip_where_impossible
from tests.int8_bundle import LABELS, noise, pack_bundle, write_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FAKE_MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PATIENCE_MS = 120_000
EVENTS = """() => events.map(e => [nameOf(e.keyword), e.start, e.end, e.score])"""


def export(bundle: Path, output: Path) -> Exported:
    return export_as(bundle, EXPORTER.validate_python({"kind": "web"}), output)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 network with random weights, in a folder with its streaming form."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(model: Path) -> Path:
    return pack_bundle(model, model / "streaming", streaming=True)


@pytest.fixture(scope="module")
def page(bundle: Path) -> Exported:
    skip_where_impossible()
    return export(bundle, bundle.with_name("page.html"))


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with chromium(FAKE_MICROPHONE) as started:
        yield started


def test_both_modules_give_the_bits_of_onnxruntime(page: Exported, bundle: Path) -> None:
    assert (page.verified.clips, page.verified.notes) == (4, ())
    random = np.random.default_rng(0)
    hops = random.integers(0, 256, (60, 2, 40)).astype(np.uint8)
    computed = _web_proof.compute(page.output, bundle, noise(6), hops)
    reference = _web_proof.Reference(bundle)
    clips = [reference.clip(features) for features in computed[0].features]
    assert reference.stream is not None
    reference.stream.reset()
    runs = [reference.run(hop) for hop in hops]
    for module in computed:
        assert module.features.tobytes() == computed[0].features.tobytes()
        assert module.logits.tobytes() == np.stack(clips).tobytes()
        assert module.run_logits.tobytes() == np.stack(runs).tobytes()


def test_a_windowed_network_is_proven_too(model: Path) -> None:
    skip_where_impossible()
    windowed = pack_bundle(model, model / "windowed", streaming=False)
    exported = export(windowed, model / "windowed.html")
    assert (exported.verified.clips, exported.verified.notes) == (4, ())


def test_the_page_is_one_small_file_that_fetches_nothing(page: Exported) -> None:
    text = page.output.read_text("utf-8")
    assert page.output.stat().st_size < 64_000
    assert "default-src 'none'" in text.replace("&#39;", "'")
    assert "http" not in text.replace("http-equiv", "")
    assert "Apache" in text
    assert "&lt;" not in web.text(*web.PAGE)
    assert LABELS[0] in text


def test_a_bit_that_differs_is_no_export(
    bundle: Path, page: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _web_proof.Reference.run
    monkeypatch.setattr(_web_proof.Reference, "run", lambda *args: run(*args) + np.float32(1e-6))
    with pytest.raises(ParityError, match="4 of 4 golden clips have other logits in WebAssembly"):
        _web_proof.prove(page.output, bundle)


def test_what_is_missing_is_said(
    bundle: Path, page: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (note,) = _web_proof.prove(page.output, bundle).notes
    assert note.startswith("there is no Node.js here, so the page is not proven: on Debian: apt")
    with pytest.raises(MissingPartError, match="not found: install clang and lld, on Debian: apt"):
        export(bundle, tmp_path / "page.html")


def test_only_a_page_of_this_kind_is_replaced(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"page: a page is one file; name an --output ending in"):
        export(bundle, tmp_path / "page")
    (tmp_path / "mine.html").write_text("<p>mine")
    with pytest.raises(UsageError, match=r"mine\.html is another page; name another --output"):
        export(bundle, tmp_path / "mine.html")
    assert _web_page.MARK in web.text(*web.PAGE)[:2000].replace("{{ version }}", "")


def run_js(script: str) -> Any:
    """Return what a script prints as JSON; `sound.js` stands before it."""
    node = wasm.node()
    if node is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    program = [node, "-e", web.text("sound.js") + script]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_wav_files_are_read_exactly_and_others_left_to_the_browser(tmp_path: Path) -> None:
    samples = noise(1)[0, :1000]
    soundfile.write(tmp_path / "mono.wav", samples, 16_000)
    soundfile.write(tmp_path / "open.wav", samples, 16_000, format="WAVEX")
    stereo = np.stack([samples, samples[::-1]], axis=1)
    soundfile.write(tmp_path / "stereo.wav", stereo, 16_000)
    soundfile.write(tmp_path / "24.wav", samples, 16_000, subtype="PCM_24")
    soundfile.write(tmp_path / "8k.wav", samples, 8_000)
    raw = (tmp_path / "mono.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(raw[:40] + b"\xff\xff\xff\xff" + raw[44:])
    (tmp_path / "text.wav").write_bytes(b"text")
    results = run_js(f"""
const fs = require("node:fs"), read = name => {{
  const bytes = Uint8Array.from(fs.readFileSync({json.dumps(str(tmp_path))} + "/" + name));
  const samples = readWav(bytes.buffer, 16000);
  return samples && [...samples];
}};
const again = writeWav(Int16Array.of(1, -2, 32767), 16000).arrayBuffer();
const names = ["mono", "open", "cut", "stereo", "24", "8k", "text"];
again.then(b => console.log(JSON.stringify([...names.map(n => read(n + ".wav")),
  [...readWav(b, 16000)]])));
""")
    exact = samples.tolist()
    assert results[:3] == [exact, exact, exact]
    mean = stereo.mean(axis=1)
    assert np.abs(np.array(results[3]) - mean).max() <= 0.5
    assert results[4:] == [None, None, None, [1, -2, 32767]]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 8_000])
def test_resampling_keeps_what_the_lower_rate_holds(rate: int) -> None:
    tones = run_js(f"""
const tone = hertz => Float32Array.from({{length: {rate} / 2}},
  (_, i) => Math.sin(2 * Math.PI * hertz * i / {rate}));
const heard = hertz => {{
  const resampler = new Resampler({rate}, 16000), samples = [], sound = tone(hertz);
  for (let at = 0; at < sound.length; at += 128) {{
    samples.push(...resampler.push(sound.subarray(at, at + 128)));
  }}
  return samples;
}};
console.log(JSON.stringify([heard(1000), {rate} > 24000 ? heard(9000) : []]));
""")
    kept = np.array(tones[0][1000:7000])
    expected = np.sin(2 * np.pi * 1000 * np.arange(1000, 7000) / 16_000)
    assert abs(len(tones[0]) - 8000) < 60
    assert np.abs(kept - expected).max() < 2e-3
    assert np.abs(tones[1][1000:7000]).max(initial=0) < 1e-3


def opened(browser: "Browser", page: Path, script: str = "") -> "Page":
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.on("pageerror", lambda error: pytest.fail(str(error)))
    if script:
        tab.add_init_script(script)
    tab.goto(page.as_uri())
    tab.wait_for_selector("body[data-build]")
    return tab


@pytest.mark.parametrize("build", ["simd", "scalar"])
def test_a_file_gives_the_events_of_detect_py(
    build: str, browser: "Browser", page: Exported, bundle: Path, tmp_path: Path
) -> None:
    samples = noise(20).ravel()
    soundfile.write(tmp_path / "noise.wav", samples, 16_000)
    detector = Detector(bundle)
    expected = [*detector.feed(samples), *detector.flush()]
    without = "let n = 0; WebAssembly.validate = () => n++ > 0;" if build == "scalar" else ""
    tab = opened(browser, page.output, without)
    assert tab.get_attribute("body", "data-build") == build
    tab.set_input_files("#file", tmp_path / "noise.wav")
    tab.wait_for_selector("body[data-done]")
    results = tab.evaluate(EVENTS)
    assert [row[0] for row in results] == [event.keyword for event in expected]
    times = np.array([row[1:] for row in results])
    assert np.abs(times - [[e.start_s, e.end_s, e.score] for e in expected]).max() < 2e-3
    assert len(expected) > 3
    if build == "scalar":
        return
    with tab.expect_download() as waiting:
        tab.locator("#events tr").last.get_by_text("False alarm").click()
    name = waiting.value.suggested_filename
    assert name.startswith("false-alarm_")
    assert name.endswith("s.wav")
    waiting.value.save_as(tmp_path / "saved.wav")
    first, saved = expected[0], soundfile.read(tmp_path / "saved.wav", dtype="int16")[0]
    start = round((max(0.0, first.start_s - 0.5)) * 16_000)
    assert np.array_equal(saved, samples[start : start + len(saved)])
    tab.locator("#keywords input").first.fill("1")
    tab.locator("#keywords input").first.dispatch_event("change")
    wait_until(tab, "events.length > 0 && events.every(e => e.keyword === 1)")


def test_the_microphone_is_heard_from_a_file_url(browser: "Browser", page: Exported) -> None:
    tab = opened(browser, page.output)
    tab.click("#listen")
    wait_until(tab, "history.endS > 0.3")
    assert tab.text_content("#status") == "Listening – speak."
    tab.click("#listen")
    assert "Stopped after" in (tab.text_content("#status") or "")
    assert tab.is_enabled("#save-miss")


def test_what_cannot_be_read_is_said(browser: "Browser", page: Exported, tmp_path: Path) -> None:
    tab = opened(browser, page.output)
    (tmp_path / "notes.txt").write_text("no sound")
    tab.set_input_files("#file", tmp_path / "notes.txt")
    tab.wait_for_selector("#alert:not([hidden])")
    text = "notes.txt cannot be read: it is no sound that this browser decodes"
    assert text in (tab.text_content("#alert") or "")
    tab.evaluate("""() => {
      navigator.mediaDevices.getUserMedia = async () => {
        throw new DOMException("no", "NotAllowedError");
      };
    }""")
    tab.click("#listen")
    wait_until(tab, "$('alert').textContent.includes('refused')")
    assert tab.text_content("#status") == "Not listening."
