"""What does the host's own hook module answer?"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import re
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextvars import copy_context
from typing import Any

from dripdrop.contracts import HookUnavailable
from dripdrop.errors import DripDropError, NotFound
from dripdrop.hooks.calls import BUSY_SECONDS, IN_FLIGHT, Permanent, Temporary
from dripdrop.plugins import Plugins

_LOG = logging.getLogger("dripdrop.hooks")
TIMEOUT_SECONDS = 5.0
THREADS = 64

_REFERENCE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?")
_SAID = {
    "unknown_module": "cannot be imported",
    "unknown_attribute": "is not there",
    "missing_handle_hook": "has no handle_hook",
    "not_registered": "is no plug-in of kind hooks, and a tenant's definition may name nothing else",
}
_WORD = re.compile(r"[A-Za-z0-9_]{1,40}")
# Outages that clients report by classes of their own: httpx and httpx2, aiohttp, and every database driver (PEP 249).
_OUTAGES = frozenset({"TransportError", "ClientConnectionError", "OperationalError"})


class Forgiving(dict[str, Any]):
    """A mapping that gives None for what it lacks."""

    def __missing__(self, key: str) -> None:
        return None


class Modules:
    """The hook modules of one host: found once each, asked in a thread of their own or awaited.

    What hangs past its time is left behind. A thread cannot be stopped, so those left behind count: one hook may hold
    `per_hook` of them and all together `threads`, and then a hook is `busy`.
    """

    def __init__(self, plugins: Plugins, *, threads: int = THREADS, per_hook: int = IN_FLIGHT) -> None:
        self._plugins = plugins
        self._threads = threads
        self._per_hook = per_hook
        self._known: dict[str, Any] = {}
        self._running: Counter[tuple[str, str]] = Counter()

    def find(self, reference: str, *, trusted: bool = True) -> Any:
        """The object behind `hooks:`, a plug-in's name or module:attribute; raises `Permanent`.

        A class is instantiated once. An attribute that has no `handle_hook` is never called. Nothing is imported for
        authors who are not `trusted`: a tenant's definition names a plug-in.
        """
        found = self._registered(reference)
        if found is not None:
            return found
        if not trusted:
            raise Permanent("not_registered")
        found = self._known.get(reference)
        if found is None:
            found = self._known[reference] = imported(reference)
        return found

    def problem(self, reference: str, name: str | None = None, *, trusted: bool = True) -> str | None:
        """What is wrong with a module, or with a name asked of it, as a sentence; None is well.

        Which names a module answers is only known where it says so itself, in an attribute `hooks`.
        """
        try:
            found = self.find(reference, trusted=trusted)
        except Permanent as trouble:
            return f"{reference[:80]!r} {_SAID.get(trouble.reason, f'cannot be used: {trouble.reason}')}."
        names = getattr(found, "hooks", None)
        if name is None or isinstance(names, str) or not isinstance(names, Collection) or name in names:
            return None
        return f"{reference[:80]!r} answers no {name[:80]!r}, only {', '.join(map(str, names))}."

    async def ask(
        self,
        reference: str,
        name: str,
        enrollment: Mapping[str, Any],
        context: Mapping[str, Any],
        *,
        timeout: float = TIMEOUT_SECONDS,
        trusted: bool = True,
    ) -> Any:
        """What `handle_hook` answers within `timeout` seconds; raises `Temporary` or `Permanent`."""
        handle = self.find(reference, trusted=trusted).handle_hook
        key = (reference, name)
        if self._running[key] >= self._per_hook or self._running.total() >= self._threads:
            raise Temporary("busy", BUSY_SECONDS)
        given = (name, enrollment, Forgiving(context))
        if inspect.iscoroutinefunction(handle):
            return await self._awaited(key, handle, given, timeout)
        answer = await self._in_thread(key, handle, given, timeout)
        if inspect.isawaitable(answer):
            return await self._awaited(key, lambda *_: answer, given, timeout)
        return answer

    def _registered(self, reference: str) -> Any:
        try:
            return self._plugins.get("hooks", reference)
        except NotFound:
            return None
        except DripDropError as error:
            raise Permanent(error.code) from error

    async def _awaited(self, key: tuple[str, str], handle: Callable[..., Any], given: Any, timeout: float) -> Any:
        task = asyncio.ensure_future(_caught(handle, given))
        self._running[key] += 1
        task.add_done_callback(lambda _: self._ended(key))
        try:
            await asyncio.wait({task}, timeout=timeout)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            raise Temporary("timeout", strike=True)
        if task.cancelled():
            raise Permanent("CancelledError")
        return _value(task.result(), key[1])

    async def _in_thread(self, key: tuple[str, str], handle: Callable[..., Any], given: Any, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def deliver(result: Any) -> None:
            self._ended(key)
            if not answer.done():
                answer.set_result(result)

        def work() -> None:
            result: Any
            try:
                result = handle(*given), None
            except BaseException as error:  # a host's code may raise anything, and the thread must say so
                result = None, error
            try:
                loop.call_soon_threadsafe(deliver, result)
            except RuntimeError:  # the loop is gone, and with it whoever asked
                self._ended(key)

        self._running[key] += 1
        # A thread of its own that dies with the process: one that hangs must not keep a worker from ending.
        threading.Thread(target=copy_context().run, args=(work,), name="dripdrop-hook", daemon=True).start()
        done, _ = await asyncio.wait({answer}, timeout=timeout)
        if not done:
            answer.cancel()
            raise Temporary("timeout", strike=True)
        return _value(answer.result(), key[1])

    def _ended(self, key: tuple[str, str]) -> None:
        self._running[key] -= 1
        if self._running[key] <= 0:
            del self._running[key]


def imported(reference: str) -> Any:
    """The object of module:attribute, or a module with a `handle_hook` of its own; raises `Permanent`."""
    if not _REFERENCE.fullmatch(reference):
        raise Permanent("unknown_module")
    module, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except ImportError as error:
        raise Permanent("unknown_module") from error
    except AttributeError as error:
        raise Permanent("unknown_attribute") from error
    except Exception as error:  # whatever the host's module does while it is imported
        raise Permanent(type(error).__name__) from error
    if not callable(getattr(found, "handle_hook", None)):
        raise Permanent("missing_handle_hook")
    if not inspect.isclass(found):
        return found
    try:
        return found()
    except Exception as error:
        raise Permanent(type(error).__name__) from error


async def _caught(handle: Callable[..., Any], given: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """What it answers or raises, as a value: SystemExit in a task would end the loop."""
    try:
        return await handle(*given), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


def _value(result: tuple[Any, BaseException | None], name: str) -> Any:
    value, error = result
    if error is None:
        return value
    if isinstance(error, HookUnavailable):
        raise Temporary(_word(error.reason), error.retry_after) from error
    _LOG.warning("the hook %s raised %s at %s", name, type(error).__name__, _place(error))
    if isinstance(error, OSError) or any(kind.__name__ in _OUTAGES for kind in type(error).__mro__):
        raise Temporary(type(error).__name__) from error
    raise Permanent(type(error).__name__) from error


def _word(reason: Any) -> str:
    return reason if isinstance(reason, str) and _WORD.fullmatch(reason) else "unavailable"


def _place(error: BaseException) -> str:
    """File and line where it was raised: its text may hold a person's data."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
