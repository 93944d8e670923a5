"""The command that serves a bundle to voice assistants."""

import asyncio
import json as json_text
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from edgekws.cli.bundle_commands import Bundle
from edgekws.cli.commands import Json
from edgekws.cli.process import write_line
from edgekws.core.events import Emit, Event
from edgekws.core.printable import one_line
from edgekws.errors import MissingPartError

if TYPE_CHECKING:
    from edgekws.serving.address import Address
    from edgekws.serving.records import Log, Record
    from edgekws.serving.spotters import Spotters

LOCAL = "tcp://127.0.0.1:10400"
OPEN = "tcp://0.0.0.0:10400"
CLIENTS = 16


def serve(
    bundle: Bundle,
    uri: Annotated[
        str,
        typer.Option(
            "--uri", metavar="URI", help="Address to listen on: tcp://HOST:PORT or unix:///PATH."
        ),
    ] = LOCAL,
    clients: Annotated[
        int,
        typer.Option(
            "--clients", metavar="N", min=1, max=1000, help="Clients that may stream at once."
        ),
    ] = CLIENTS,
    languages: Annotated[
        list[str] | None,
        typer.Option(
            "--language", metavar="CODE", help="Language of the keywords; may be repeated."
        ),
    ] = None,
    zeroconf: Annotated[
        bool, typer.Option("--zeroconf", help="Announce the server to the local network.")
    ] = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="Print a unit for systemd, and do nothing else.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve a bundle as a wake-word server for Home Assistant, with the Wyoming protocol.

    Every keyword is a model of its own, under the name of its label. Each client chooses its
    keywords and gets the events that edgekws detect gives for the same audio; thresholds, smoothing
    and refractory time come from the bundle. PCM of any usual rate and width is converted.

    Only this machine can connect, unless --uri says otherwise. There is no password, and audio is
    not encrypted: open it only to networks you trust. Ctrl-C or SIGTERM ends the server.

    A line per event goes to standard output. This needs the package wyoming:
    pip install 'edgekws[serve]'. --zeroconf also needs zeroconf: pip install 'edgekws[zeroconf]'.

    \b
    Examples:
      edgekws serve dist/quickstart
      edgekws serve dist/quickstart --uri tcp://0.0.0.0:10400 --zeroconf
      edgekws serve dist/quickstart --uri unix:///run/edgekws/wake.sock --json
      edgekws serve dist/quickstart --uri tcp://0.0.0.0:10400 --systemd > edgekws.service
    """
    from edgekws.serving.address import parse_address

    address = parse_address(uri)
    if zeroconf:
        from edgekws.serving.discovery import check_announceable

        check_announceable(address)
    if systemd:
        from edgekws.serving.systemd import unit

        options = _options(uri, clients, languages or [], zeroconf, json)
        write_line(unit(bundle, options).rstrip())
        return
    _check_wyoming()
    from edgekws.cli.console import Terminal
    from edgekws.serving.spotters import spotters

    with Terminal() as notes:
        lent = spotters(bundle, notes.emit, clients, languages or [])
        log = _json_line if json else _text_line
        asyncio.run(_serve(lent, address, log, notes.emit, zeroconf))


def _options(uri: str, clients: int, languages: list[str], zeroconf: bool, json: bool) -> list[str]:
    options = ["--uri", uri, "--clients", str(clients)]
    for language in languages:
        options += ["--language", language]
    return options + ["--zeroconf"] * zeroconf + ["--json"] * json


def _check_wyoming() -> None:
    try:
        import wyoming  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPartError(
            "serve needs the package wyoming; install it with: pip install 'edgekws[serve]'"
        ) from error


async def _serve(
    spotters: "Spotters", address: "Address", log: "Log", emit: Emit, zeroconf: bool
) -> None:
    from contextlib import AsyncExitStack

    from edgekws.serving.discovery import announced, check_announceable
    from edgekws.serving.records import Record
    from edgekws.serving.server import Server, stop_signals

    async with AsyncExitStack() as stack:
        stopped = stack.enter_context(stop_signals())
        actual = await stack.enter_async_context(Server(spotters, log).listening(address))
        name = None
        if zeroconf:
            name = await stack.enter_async_context(announced(check_announceable(actual)))
        _advise(spotters, actual, emit)
        keywords = spotters.info.wake[0].models
        names = [model.name for model in keywords]
        data = {"uri": str(actual), "keywords": names, "zeroconf": name}
        log(Record("listening", f"on {actual} for {', '.join(names)}", data=data))
        await stopped.wait()
    log(Record("stopped"))


def _advise(spotters: "Spotters", address: "Address", emit: Emit) -> None:
    share = f"detection takes {100 * spotters.load:.2g} % of a core for each"
    emit(Event("note", f"up to {spotters.clients} clients at once; {share}"))
    if spotters.load * spotters.clients > 1:
        most = int(1 / spotters.load)
        emit(
            Event(
                "warning", f"one core keeps up with at most {most} clients; events of more are late"
            )
        )
    if address.is_private:
        emit(Event("note", f"only this machine can connect; --uri {OPEN} opens it to the network"))


def _text_line(record: "Record") -> None:
    parts = (f"{datetime.now():%H:%M:%S}", record.client, record.kind, record.text)
    write_line(one_line("  ".join(part for part in parts if part)))


def _json_line(record: "Record") -> None:
    client = {"client": record.client} if record.client else {}
    text = {"text": record.text} if record.text else {}
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    # ASCII only, so that no encoding of the terminal or the pipe can harm it.
    fields = {"event": record.kind, "time": time, **client, **text, **record.data}
    write_line(json_text.dumps(fields))
