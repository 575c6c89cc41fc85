"""How does somebody write sequences with nothing set up?"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from dripdrop.cli import output
from dripdrop.cli.options import Command
from dripdrop.cli.session import HOME, Session, with_session
from dripdrop.cli.work import log
from dripdrop.errors import Conflict, MissingExtra, Unavailable

if TYPE_CHECKING:
    from dripdrop.app import AsyncDripDrop, DripDrop

ADAPTER = "local mailbox"


@click.command("dev", cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8025, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@with_session
def dev(session: Session, host: str, port: int) -> None:
    """A database, a worker and a mailbox to read in the browser, in this folder's .dripdrop/, until Ctrl-C.

    Only --database is used instead of the embedded PostgreSQL: a configured one may hold real people. What channels
    have no default adapter get one that delivers into the mailbox.
    """
    _require_web()
    log(session)
    with _listening(host, port) as listener:
        address = f"http://{host}:{listener.getsockname()[1]}"
        _prepare(session, address)
        folder = (HOME / "mailbox").resolve()
        made = make_mailboxes(session.drip, folder)
        about = {"mailbox": f"{address}/", "database": session.url, "adapters": made}
        if session.json:
            output.write_json(about)
        else:
            facts = [("mailbox", about["mailbox"]), ("database", session.url), ("new adapters", made)]
            session.show(None, output.pairs(facts), "Working. Stop with Ctrl-C.")
        asyncio.run(_serve(session, listener, folder))
    session.note("Stopped: the data stay in .dripdrop/.")


def make_mailboxes(drip: DripDrop, folder: Path) -> list[str]:
    """Give every channel without a default adapter one that delivers into the folder; answers those channels."""
    from dripdrop.channels.local import CHANNELS

    adapters: Any = drip.adapters
    there = adapters.list(active=True)
    wanting = [each for each in CHANNELS if not any(one.channel == each and one.is_default for one in there)]
    for channel in wanting:
        with contextlib.suppress(Conflict):  # its name is taken by one that was switched off, or by another `dev`
            adapters.create(
                f"{ADAPTER} ({channel})",
                channel=channel,
                provider="local",
                config={"folder": str(folder)},
                is_default=True,
            )
    return wanting


def _prepare(session: Session, address: str) -> None:
    """The database with our schema, a key, and an address for links."""
    from dripdrop.store import schema

    session.options.database = session.options.database or session.embedded()
    session.use_dev_key()
    config = session.config()
    if config.public_url is None:
        session.overrides["public_url"] = address
    schema.migrate(session.options.database, config.schema)


async def _serve(session: Session, listener: socket.socket, folder: Path) -> None:
    """Worker and pages side by side; when one ends, the other does."""
    drip = session.awaited()
    server = _server(drip, folder, _hosts(session, listener))
    pages = asyncio.ensure_future(server.serve(sockets=[listener]))
    work = asyncio.ensure_future(drip.run_worker())
    try:
        await asyncio.wait({pages, work}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        work.cancel()
        for ended in await asyncio.gather(work, pages, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
    finally:
        await drip.close()


def _server(drip: AsyncDripDrop, folder: Path, hosts: list[str]) -> Any:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount

    from dripdrop.cli.mailbox import Mailbox

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """The worker hears the signals, and ends the pages when it has finished."""
            yield

    # Another site must not read the mailbox through a name of its own that leads to this machine.
    guard = Middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    pages = Starlette(routes=[*Mailbox(folder).routes(), Mount("/", drip.asgi())], middleware=[guard])
    return Server(uvicorn.Config(pages, log_level="warning", lifespan="off", timeout_graceful_shutdown=2))


def _hosts(session: Session, listener: socket.socket) -> list[str]:
    """The names under which the pages may be asked for; all of them where they are served to other machines too."""
    own = str(listener.getsockname()[0])
    public = urlsplit(session.config().public_url or "").hostname
    local = ("127.0.0.1", "::1")
    return ["localhost", *local, *([public] if public else [])] if own in local else ["*"]


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as problem:
            raise Unavailable(
                f"Nothing can be served on {host}:{port}: {problem.strerror}.",
                cure="Choose another with --port; 0 takes any free one.",
                code="port_taken",
            ) from problem
        listener.listen(128)
        yield listener


def _require_web() -> None:
    try:
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtra("Serving pages", "web") from None
