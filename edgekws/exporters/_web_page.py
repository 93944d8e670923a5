"""The page of an export to the web, made of the files in `runtime/web`."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from edgekws.about import version
from edgekws.codegen import wasm
from edgekws.codegen.detector import detector_settings
from edgekws.core.contract import Contract
from edgekws.runtime import web

MARK = '<meta name="generator" content="edgekws '
"""What every such page holds."""

_COMMENTS = re.compile(r"^ *(//[^\n]*|/\*\*(?s:.*?)\*/)\n|^ +", re.MULTILINE)


def build_page(
    contract: Contract,
    manifest: Mapping[str, Any],
    sha256: str,
    network_frames: int,
    modules: tuple[bytes, bytes],
) -> str:
    """Return the page of a bundle; the same arguments give the same text.

    Args:
        contract: The contract of the bundle.
        manifest: Its manifest.
        sha256: Its identity.
        network_frames: The frames that the network takes in a run.
        modules: WebAssembly with SIMD, and without.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    script, loader, worklet = (
        _COMMENTS.sub("", web.text(*names)) for names in (web.SCRIPT, web.LOADER, web.WORKLET)
    )
    style = web.text(*web.STYLE)
    packed = wasm.pack([style, script], *modules)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    model = _model(contract, dict(manifest)) | {"networkFrames": network_frames}
    page = environment.from_string(web.text(*web.PAGE)).render(
        name=_name(manifest),
        version=version(),
        keywords=model["keywords"],
        policy=_policy((loader, script), style),
        facts=_facts(contract, manifest, sha256),
        model=Markup(_json(model)),
        worklet=Markup(worklet),
        sizes=" ".join(map(str, packed.sizes)),
        packed=Markup(packed.text),
        loader=Markup(loader),
    )
    return page.lstrip() + "\n"


def _policy(scripts: tuple[str, ...], style: str) -> str:
    """Return the content security policy: these texts run, and nothing is fetched from anywhere.

    The audio thread takes its script from a `data:` URL, which works in a file, too.
    """
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed} 'wasm-unsafe-eval' data:; "
        f"style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _name(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("origin", {}).get("recipe", "keywords"))


def _model(contract: Contract, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what the script of the page needs to know."""
    settings = detector_settings(manifest)
    keywords = [contract.labels[column] for column in settings.columns]
    hop_frames = manifest["detection"]["hop_frames"]
    return {
        "labels": contract.labels,
        "keywords": keywords,
        "thresholds": [manifest["detection"]["thresholds"][keyword] for keyword in keywords],
        "sampleRate": contract.front_end.sample_rate,
        "hopSamples": settings.hop_samples,
        "hopFrames": hop_frames,
        "mels": contract.front_end.n_mels,
        "frames": contract.front_end.n_frames,
        "windowSamples": contract.front_end.window_samples,
    }


def _json(values: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _facts(contract: Contract, manifest: Mapping[str, Any], sha256: str) -> dict[str, str]:
    """Return what a reader may want to know, by name."""
    detection, front_end = manifest["detection"], contract.front_end
    thresholds = (f"{k} {v:g}" for k, v in detection["thresholds"].items())
    return {
        "model": f"{_name(manifest)}, {contract.architecture.get('kind', 'network')}, INT8",
        "labels": ", ".join(contract.labels),
        "thresholds": f"{', '.join(thresholds)} ({detection['source']})",
        "smoothing": f"{detection['smoothing_ms']:g} ms; decides every {detection['hop_ms']:g} ms",
        "sound": f"{front_end.sample_rate} Hz, {front_end.n_mels} mel bands",
        "bundle": f"sha256 {sha256}",
        "made by": f"edgekws {version()}; the bundle by edgekws {manifest['edgekws']}",
        "licence": "Apache-2.0 for the code; the weights are those of the bundle",
    }
