"""How does a FastAPI application hold DripDrop, and how does a request enroll in its own transaction?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib import import_module
from typing import Any, Protocol, TypeVar

from dripdrop.engine.worker import Worker
from dripdrop.errors import Unavailable

_LOG = logging.getLogger("dripdrop.integrations")


class Joins(Protocol):
    """A facade, of either kind."""

    def using(self, connection: Any) -> Any: ...


D = TypeVar("D", bound=Joins)


def lifespan(drip: Any, *, worker: bool = False) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """`FastAPI(lifespan=lifespan(drip))`: an AsyncDripDrop is closed with the application; Starlette takes it as well.

    With `worker`, a worker runs in the application's event loop and stops gently with it; signals stay the server's.
    """

    @asynccontextmanager
    async def held(app: Any) -> AsyncIterator[None]:
        working = Worker(drip._worker.runtime()) if worker else None
        task = asyncio.create_task(working.run(), name="dripdrop worker") if working is not None else None
        if task is not None:
            task.add_done_callback(_told)
        try:
            yield
        finally:
            if working is not None and task is not None:
                working.stop()
                with suppress(Exception):
                    await task
            await drip.close()

    return held


def joined(drip: D, session: Callable[..., Any]) -> Callable[..., D]:
    """A dependency: `drip` inside the transaction of what the dependency `session` gives.

    `Drip = Annotated[AsyncDripDrop, Depends(joined(drip, get_session))]`. Within one request FastAPI makes one session,
    so a route that also asks for `get_session` has the very one that was joined.
    """
    try:
        asked = import_module("fastapi").Depends(session)
    except ImportError as missing:
        raise Unavailable("FastAPI is not installed.", cure="Install it with: pip install fastapi") from missing

    def dependency(connection: Any = asked) -> D:
        view: D = drip.using(connection)
        return view

    return dependency


def _told(task: asyncio.Task[None]) -> None:
    """A worker that fails must not fail in silence: the application would go on serving, and send nothing."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("The worker has ended: %s", error, exc_info=error)
