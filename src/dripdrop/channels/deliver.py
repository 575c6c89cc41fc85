"""What came of it? Speaks to a provider of any shape; whatever an adapter raises becomes an outcome."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias

from dripdrop.channels.answers import unfit
from dripdrop.channels.checking import checked, kept, said
from dripdrop.channels.http import Sender
from dripdrop.channels.leaving import LeaseLost, about_to_leave, watch
from dripdrop.channels.sessions import Held, NotOpened, Sessions
from dripdrop.contracts import (
    Config,
    HttpProvider,
    HttpRequest,
    HttpResponse,
    MaybeSent,
    NotSent,
    Provider,
    SessionProvider,
)
from dripdrop.errors import DripDropError, Invalid
from dripdrop.rules.message import Delivery
from dripdrop.rules.outcome import (
    Accepted,
    Askable,
    CannotTell,
    Found,
    Idempotent,
    Neither,
    NotFound,
    OnDoubt,
    Outcome,
    Rejected,
    Unknown,
)
from dripdrop.rules.threads import bare
from dripdrop.rules.urls import why_blocked

AnyProvider: TypeAlias = Provider | HttpProvider | SessionProvider
Way: TypeAlias = Callable[[Delivery, Config, float], Awaitable[Any]]
SeenAs: TypeAlias = Callable[[Delivery, Accepted, Config], "str | None"]
Known: TypeAlias = tuple[Any, Way, "SeenAs | None"]

REFUSED = "It refused the credentials (401)"
CONNECTIONS = 10
_LONGEST_ID = 998
THREADS = 32
# Made anew for each call, so they say nothing about which connection fits.
_PER_CALL = frozenset(("now", "url", "method", "token", "documents"))


class Speaker:
    """Sends deliveries for a worker. The `Sender` stays its owner's; sessions and threads are the speaker's own."""

    def __init__(self, sender: Sender, *, sessions: Sessions | None = None, threads: int = THREADS) -> None:
        self._sender = sender
        self._sessions = sessions or Sessions()
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        # The provider is kept beside its way: an id is only unique while its object lives.
        self._ways: dict[int, Known] = {}

    async def send(
        self,
        provider: AnyProvider,
        delivery: Delivery,
        config: Config,
        *,
        timeout: float,
        guard: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Make one call, within `timeout` seconds. Raises nothing but the caller's own cancellation.

        `guard` is asked right before the wire; where it says no, nothing leaves, and that is a temporary rejection
        (`lease_lost`).

        A connection that could not be made is a temporary rejection of cause `adapter`; what was raised or timed out
        after the message may have left is `Unknown`. Detail and meta come back bounded and redacted.
        """
        known = self._ways.get(id(provider)) or self._learn(provider)
        if guard is not None:
            watch(guard)
        try:
            outcome = await known[1](delivery, config, timeout)
        except LeaseLost:
            return Rejected("temporary", "adapter", detail={"reason": "lease_lost"})
        except asyncio.CancelledError:
            if _ours_to_obey():
                raise
            return Unknown({"reason": "adapter_raised", "exception": "CancelledError"})
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an adapter's SystemExit must not end the worker
            return Unknown({"reason": "adapter_raised", "exception": type(error).__name__})
        outcome = checked(outcome, config)
        if known[2] is not None and isinstance(outcome, Accepted):
            return _seen(known[2], delivery, outcome, config)
        return outcome

    async def find(self, provider: AnyProvider, delivery: Delivery, config: Config, *, timeout: float) -> Found:
        """Ask the provider whether it has this delivery; every trouble is `CannotTell`.

        A provider answers with `find(delivery, config)`, or with the pair `find_request(delivery, config)` and
        `found(response)`, for which the sender makes the call.
        """
        try:
            answer = await self._ask(provider, ("find", "find_request", "found"), (delivery, config), timeout)
        except NotImplementedError:
            return CannotTell({"reason": "not_supported"})
        except (Exception, SystemExit) as error:
            return CannotTell({"reason": "adapter_raised", "exception": type(error).__name__})
        if isinstance(answer, Accepted):
            accepted = checked(answer, config)
            return accepted if isinstance(accepted, Accepted) else CannotTell({"reason": "nonsense"})
        if isinstance(answer, CannotTell):
            return CannotTell(kept(answer.detail, config))
        return answer if isinstance(answer, NotFound) else CannotTell({"reason": "nonsense"})

    async def check(self, provider: AnyProvider, config: Config, *, timeout: float) -> str | None:
        """Ask the provider whether this adapter would work; None is well, a text says what is wrong. Raises nothing.

        A provider answers with `check(config)`, or with the pair `check_request(config)` and `checked(response)`.
        An answer of 401 is named as such, whatever the provider reads in it.
        """
        try:
            async with asyncio.timeout(timeout):
                answer = await self._checked(provider, config, timeout)
        except NotImplementedError:
            return None
        except TimeoutError:
            return f"It did not answer within {timeout:g} seconds."
        except (NotSent, MaybeSent) as error:
            return f"It could not be asked: {error.reason}."
        except DripDropError as error:
            return said(f"It could not be asked: {error}", config)
        except asyncio.CancelledError:
            if _ours_to_obey():
                raise
            return "It could not be asked: its adapter raised CancelledError."
        except (Exception, SystemExit) as error:
            return f"It could not be asked: its adapter raised {type(error).__name__}."
        if answer is None or isinstance(answer, str):
            return None if answer is None else said(answer, config)
        return f"Its adapter answered with {type(answer).__name__} instead of a text."

    async def _checked(self, provider: Any, config: Config, timeout: float) -> Any:
        if getattr(provider, "check", None) is not None:
            return await self._ask(provider, ("check", "check_request", "checked"), (config,), timeout)
        request, read = (getattr(provider, name, None) for name in ("check_request", "checked"))
        if request is None or read is None:
            raise NotImplementedError
        response = await self._sender.send(request(config), timeout=timeout)
        answer = read(response)
        if response.status != 401:
            return answer
        return f"{REFUSED}: {answer}" if isinstance(answer, str) and answer else f"{REFUSED}."

    async def aclose(self) -> None:
        """Close the sessions and let the threads go."""
        await self._sessions.aclose()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _learn(self, provider: Any) -> Known:
        if hasattr(provider, "open_session"):
            way: Way = partial(self._by_session, provider)
        elif hasattr(provider, "request") and hasattr(provider, "outcome"):
            way = partial(self._by_http, provider)
        elif inspect.iscoroutinefunction(provider.deliver):
            way = partial(_awaited, provider.deliver)
        else:
            way = partial(self._in_thread, provider.deliver)
        self._ways[id(provider)] = (provider, way, getattr(provider, "seen_as", None))
        return self._ways[id(provider)]

    async def _by_http(self, provider: HttpProvider, delivery: Delivery, config: Config, timeout: float) -> Any:
        try:
            request = provider.request(delivery, config)
        except DripDropError as error:
            return unfit(error)
        except (Exception, SystemExit) as error:
            raised = {"reason": "adapter_raised", "exception": type(error).__name__, "stage": "request"}
            return Rejected("permanent", "adapter", detail=raised)  # not a doubt: nothing has left
        if not isinstance(request, HttpRequest):
            return Rejected("permanent", "adapter", detail={"reason": "nonsense", "stage": "request"})
        try:
            response = await self._sender.send(request, timeout=timeout)
        except NotSent as error:
            return Rejected("temporary", "adapter", detail={"reason": "connect", "why": error.reason})
        except MaybeSent as error:
            return Unknown({"reason": "timeout" if error.reason == "timeout" else "connection", "why": error.reason})
        except Invalid as error:
            return Rejected("permanent", "adapter", detail={"reason": error.code, "why": why_blocked(error)})
        return _read(provider, response)

    async def _by_session(self, provider: SessionProvider, delivery: Delivery, config: Config, timeout: float) -> Any:
        held: Held | None = None
        try:
            async with asyncio.timeout(timeout) as limit:
                held = await self._session(provider, delivery, config)
                about_to_leave()
                outcome = await provider.deliver(delivery, config, held.session)
                if _stale(held, outcome):
                    # The server hung up on an idle connection: that says nothing about this message.
                    self._sessions.give_back(held, broken=True)
                    held = None
                    held = await self._session(provider, delivery, config)
                    outcome = await provider.deliver(delivery, config, held.session)
            self._sessions.give_back(held)
            held = None
            return outcome
        except NotOpened as error:
            return error.outcome
        except _CannotOpen as error:
            return Rejected("temporary", "adapter", detail={"reason": "connect", "why": error.why})
        except TimeoutError:
            if not limit.expired():
                raise
            if held is None or getattr(held.session, "left", True) is False:
                return Rejected("temporary", "adapter", detail={"reason": "connect", "why": "timeout"})
            return Unknown({"reason": "timeout"})
        finally:
            if held is not None:
                self._sessions.give_back(held, broken=True)

    async def _session(self, provider: SessionProvider, delivery: Delivery, config: Config) -> Held:
        async def open_one() -> Any:
            try:
                return await provider.open_session(config)
            except NotOpened:
                raise
            except Exception as error:
                raise _CannotOpen(type(error).__name__) from error

        most = config.get("connections") or CONNECTIONS
        key = (id(provider), delivery.adapter.id, session_key(provider, config))
        return await self._sessions.take(key, int(most), open_one, provider.close_session)

    async def _in_thread(self, call: Callable[..., Any], *rest: Any) -> Any:
        *given, timeout = rest
        about_to_leave()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix="dripdrop-adapter")
        job = self._executor.submit(copy_context().run, call, *given)
        try:
            async with asyncio.timeout(timeout) as limit:
                answer = await asyncio.wrap_future(job)
                return await answer if inspect.isawaitable(answer) else answer
        except TimeoutError:
            if not limit.expired():
                raise
            if job.cancelled():  # it was still waiting for a thread
                return Rejected("temporary", "adapter", detail={"reason": "no_free_thread"})
            return Unknown({"reason": "timeout"})

    async def _ask(self, provider: Any, names: tuple[str, str, str], given: tuple[Any, ...], timeout: float) -> Any:
        whole, request, read = (getattr(provider, name, None) for name in names)
        if whole is None:
            if request is None or read is None:
                raise NotImplementedError
            return read(await self._sender.send(request(*given), timeout=timeout))
        if inspect.iscoroutinefunction(whole):
            async with asyncio.timeout(timeout):
                return await whole(*given)
        answer = await self._in_thread(whole, *given, timeout)
        if isinstance(answer, (Rejected, Unknown)):
            raise TimeoutError
        return answer


class _CannotOpen(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Begun:
    """A call that was begun already: awaiting it goes on where it stands."""

    def __init__(self, call: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._call = call
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        call, waits_for = self._call, self._waits_for
        try:
            while True:
                try:
                    told = yield waits_for
                except BaseException as error:
                    waits_for = call.throw(error)
                else:
                    waits_for = call.send(told)
        except StopIteration as end:
            return end.value


async def _awaited(
    deliver: Callable[..., Coroutine[Any, Any, Any]], delivery: Delivery, config: Config, timeout: float
) -> Any:
    about_to_leave()
    call = deliver(delivery, config)
    try:
        waits_for = call.send(None)
    except StopIteration as end:
        # Answered without waiting: no clock was needed.
        return end.value
    try:
        async with asyncio.timeout(timeout) as limit:
            return await _Begun(call, waits_for)
    except TimeoutError:
        if not limit.expired():
            raise
        return Unknown({"reason": "timeout"})


def _read(provider: HttpProvider, response: HttpResponse) -> Any:
    try:
        return provider.outcome(response)
    except Exception as error:
        raised = {"reason": "adapter_raised", "exception": type(error).__name__, "status": response.status}
        return Unknown(raised)


def _seen(seen_as: SeenAs, delivery: Delivery, outcome: Accepted, config: Config) -> Accepted:
    """With the Message-ID that its readers see; what an adapter says wrong of it changes nothing: accepted it stays."""
    try:
        named = bare(seen_as(delivery, outcome, config) or "")
    except (Exception, SystemExit):
        return outcome
    if not named or len(named) > _LONGEST_ID or not named.isascii() or not named.isprintable() or " " in named:
        return outcome
    return Accepted(outcome.provider_message_id, {**outcome.meta, "message_id": f"<{named}>"})


def _stale(held: Held, outcome: Any) -> bool:
    return held.reused and isinstance(outcome, Rejected) and outcome.detail.get("reason") == "connection_lost"


def _ours_to_obey() -> bool:
    """Whether the task itself is being cancelled, and not only something the adapter awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def doubt(provider: AnyProvider) -> OnDoubt:
    """What this provider can do about a doubt; where it does not say, nothing."""
    said = getattr(provider, "on_doubt", None)
    return said if isinstance(said, (Idempotent, Askable, Neither)) else Neither()


def session_key(provider: SessionProvider, config: Config) -> Hashable:
    """What a session depends on: the provider's own `session_key(config)`, else all that outlives a call."""
    own = getattr(provider, "session_key", None)
    if own is not None:
        key: Hashable = own(config)
        return key
    return repr(sorted((name, repr(value)) for name, value in config.items() if name not in _PER_CALL))
