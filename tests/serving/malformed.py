"""Sessions that no honest client has, as the bytes it sends."""

import json

from edgekws.serving.wire import MAX_DATA, MAX_LINE, MAX_PAYLOAD

FORMAT = {"rate": 16_000, "width": 2, "channels": 1}


def event(kind: object, data: object = None, payload: bytes = b"", **header: object) -> bytes:
    """Return an event as `wyoming` writes it; `header` replaces what is right."""
    fields = {"type": kind, "data": data, "payload_length": len(payload), **header}
    return json.dumps(fields).encode() + b"\n" + payload


def chunk(payload: bytes = bytes(640), **data: object) -> bytes:
    return event("audio-chunk", {**FORMAT, **data}, payload)


SESSIONS = {
    "not JSON": b"\x00\xff\x13 rubbish\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(range(256)) + b"\n",
    "an empty line": b"\n",
    "a list": b"[1, 2]\n",
    "a number": b"17\n",
    "deep JSON": b"[" * 60_000 + b"\n",
    "a huge number": b'{"type": ' + b"9" * 60_000 + b"}\n",
    "no type": b'{"data": {}}\n',
    "a type that is a number": event(7),
    "data that is a list": event("ping", [1]),
    "a long header": b'{"type": "' + b"x" * MAX_LINE + b'"}\n',
    "an endless header": b"x" * (4 * MAX_LINE),
    "long data": event("ping", data_length=MAX_DATA + 1),
    "endless data": event("ping", data_length=10**15),
    "a negative length": event("ping", data_length=-1),
    "a length that is a text": event("ping", data_length="5"),
    "a length that is a fraction": event("ping", payload_length=1.5),
    "a length that is true": event("ping", payload_length=True),
    "data that is not JSON": event("ping", data_length=3) + b"{{{",
    "data that is a list after the header": event("ping", data_length=2) + b"[]",
    "a long payload": event("audio-chunk", FORMAT, payload_length=MAX_PAYLOAD + 1),
    "an endless payload": event("audio-chunk", FORMAT, payload_length=2**62),
    "names that are a text": event("detect", {"names": "lights"}),
    "names that are numbers": event("detect", {"names": [1, 2]}),
    "a ping with a list": event("ping", {"text": [1]}),
    "a ping with half a pair": b'{"type": "ping", "data": {"text": "\\ud800"}}\n',
    "no format": event("audio-chunk", {}, bytes(640)),
    "no rate": event("audio-start", {"width": 2, "channels": 1}),
    "a rate of 0": event("audio-start", {**FORMAT, "rate": 0}),
    "a rate of 1e12": event("audio-start", {**FORMAT, "rate": 10**12}),
    "a rate that is a text": event("audio-start", {**FORMAT, "rate": "16000"}),
    "24 bits": event("audio-start", {**FORMAT, "width": 3}),
    "a thousand channels": event("audio-start", {**FORMAT, "channels": 1000}),
    "half a sample": chunk(bytes(641)),
    "another format in a stream": chunk() + chunk(rate=8000),
    "a timestamp that is a text": chunk(timestamp="now"),
    "a timestamp without end": chunk().replace(b'"rate"', b'"timestamp": Infinity, "rate"'),
    "a timestamp of many digits": chunk(timestamp=10**400),
}
"""Refused with a reason."""

BROKEN_OFF = {
    "nothing": b"",
    "half a header": b'{"type": "audio-st',
    "half of the data": event("ping", data_length=100) + b"{",
    "half a payload": event("audio-chunk", FORMAT, payload_length=640) + bytes(3),
    "a stream without an end": event("audio-start", FORMAT) + 20 * chunk(),
}
"""Ended by the client in the middle."""

ODD = {
    "an unknown name with half a pair": b'{"type": "detect", "data": {"names": ["\\ud800"]}}\n',
    "a thousand names": event("detect", {"names": [f"name {n}" for n in range(1000)]}),
    "an unknown event": event("x" * 10_000, {"a": {"b": [None]}}, bytes(9)),
    "stops alone": 3 * event("audio-stop"),
    "starts alone": 5 * event("audio-start", FORMAT),
    "chunks of nothing": 50 * chunk(b""),
    "null lengths": event("ping", None, payload_length=None, data_length=None),
    "a timestamp that goes back": chunk(timestamp=5000) + chunk(timestamp=-1) + chunk(timestamp=7),
}
"""Unusual, and served."""
