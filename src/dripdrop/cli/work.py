"""What runs in production: the worker, and the pages and webhooks that the world calls?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import click

from dripdrop.cli.options import Command
from dripdrop.cli.session import Session, with_session
from dripdrop.engine import garbage
from dripdrop.errors import MissingExtra, Unreadable

if TYPE_CHECKING:
    from dripdrop.engine.dispatcher import Run


GRACE_SECONDS = 20


@click.command("worker", cls=Command)
@click.option("--once", is_flag=True, help="One pass over what is due, and what follows from it at once.")
@with_session
def worker(session: Session, once: bool) -> None:
    """Send what is due, until told to stop (Ctrl-C, SIGTERM): what is on its way is finished first.

    Any number of these may run, on any number of machines.
    """
    log(session)
    _require_key(session)
    if once:
        run = asyncio.run(_once(session))
        session.done({"run": run}, _said(run))
        return
    session.note("Working. Stop with Ctrl-C.")
    _run_as_owner(_work(session))
    session.note("Stopped: nothing was left half done.")


@click.command("serve", cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@with_session
def serve(session: Session, host: str, port: int) -> None:
    """Serve what the world calls: webhooks of providers, unsubscribe pages, short links, /healthz and /readyz.

    Told to stop (Ctrl-C, SIGTERM), it answers what it has begun. Any number of these may run, behind any proxy.
    """
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtra("Serving pages", "web") from None
    log(session)
    session.config().secrets()
    app = session.awaited().asgi()
    session.note(f"Serving http://{host}:{port}/. Stop with Ctrl-C.")
    uvicorn.run(
        app, host=host, port=port, log_level="warning", proxy_headers=True, access_log=False, server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip


def _run_as_owner(work: Coroutine[Any, Any, None]) -> None:
    """Run it as what this process is for: uvloop where it is installed, and garbage sought less often."""
    with garbage.sought_seldom():
        _runner()(work)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run
    return uvloop.run


async def _work(session: Session) -> None:
    drip = session.awaited()
    try:
        await drip.run_worker()
    finally:
        await drip.close()


async def _once(session: Session) -> Run:
    drip = session.awaited()
    try:
        return await drip.run_due()
    finally:
        await drip.close()


def _said(run: Run) -> str:
    counts = ("sent", "deferred", "skipped", "failed", "unknown")
    said = ", ".join(f"{getattr(run, name)} {name}" for name in counts if getattr(run, name))
    return f"{run.claimed} taken up{': ' + said if said else ''}." if run.claimed else "Nothing was due."


def _require_key(session: Session) -> None:
    """A worker without the right key would put every message off: better not to begin."""
    from dripdrop.services import doctor

    drip = session.drip
    session.config().encryption_keys()
    found = doctor.unreadable(drip._run(doctor.all_adapters), session.config())
    if found:
        raise Unreadable(
            f"Nothing is sent through {found[0].path.removeprefix('adapter ')}: {found[0].message}",
            cure=found[0].cure,
            code=found[0].code,
        )


def log(session: Session) -> None:
    """What the engine says goes to standard error; with --debug all of it."""
    level = logging.DEBUG if session.options.debug else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("dripdrop").setLevel(level)
