"""What does an endpoint answer for this person?"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from dripdrop import clock
from dripdrop.contracts import HttpRequest, HttpResponse, MaybeSent, NotSent, Sends
from dripdrop.errors import Invalid
from dripdrop.hooks.calls import Gate, Permanent, Temporary, watched
from dripdrop.rules.answers import Subject
from dripdrop.rules.hook_values import NoValue, value_of
from dripdrop.rules.http_headers import seconds_to_wait
from dripdrop.rules.http_hooks import Auth, HttpHook, has_fixed_host
from dripdrop.rules.redaction import REDACTED
from dripdrop.rules.urls import why_blocked

LARGEST_BODY = 256_000
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0
SHORTEST_SECRET = 6
BLOCKED = "blocked_"
# Besides 5xx: the endpoint says itself that it is a matter of time.
_AGAIN = frozenset((408, 425, 429))


class Writes(Protocol):
    """Fills templates so that a value never changes the shape of what it stands in; raises `Invalid`."""

    def url(self, template: str, variables: Mapping[str, Any], path: str = ...) -> str: ...

    def body(self, template: str, variables: Mapping[str, Any], content_type: str, path: str = ...) -> bytes: ...


class Endpoints:
    """Calls HTTP hooks through the one guarded sender."""

    def __init__(
        self, sender: Sends, writes: Writes, *, sleep: Callable[[float], Awaitable[None]] = clock.sleep
    ) -> None:
        self._sender = sender
        self._writes = writes
        self._sleep = sleep

    async def ask(self, hook: HttpHook, auth: Auth, subject: Subject, gate: Gate) -> Any:
        """The value, within the hook's budget for the call and all its retries; raises `Temporary` or `Permanent`.

        Only 5xx, 408, 425, 429, timeouts and connections that broke are tried again; `Retry-After` is waited for where
        the budget allows, else it is handed on.
        """
        request = self._request(hook, auth, subject)
        ours = _secrets(hook.auth_type, auth)
        ends = clock.monotonic() + hook.budget
        for retries_left in range(hook.retry_count, -1, -1):
            timeout = min(hook.timeout_ms / 1000, ends - clock.monotonic())
            try:
                return await watched(gate, subject.now, partial(self._call, hook, request, ours, timeout))
            except Temporary as trouble:
                wait = min(FIRST_WAIT * 2 ** (hook.retry_count - retries_left), LONGEST_WAIT)
                wait = wait if trouble.retry_after is None else max(trouble.retry_after, wait)
                if not retries_left or gate.is_shut(subject.now) or clock.monotonic() + wait >= ends:
                    raise
            await self._sleep(wait)
        raise AssertionError("the last call returned or raised")

    def _request(self, hook: HttpHook, auth: Auth, subject: Subject) -> HttpRequest:
        if not has_fixed_host(hook.url):
            raise Permanent("hook_url")
        try:
            url = self._writes.url(hook.url, subject.variables, f"{hook.key}.url")
            body = b""
            if hook.body_template is not None:
                body = self._writes.body(
                    hook.body_template, subject.variables, hook.content_type, f"{hook.key}.body_template"
                )
        except Invalid as error:
            raise Permanent(error.code) from None
        headers = {name.lower(): (name, value) for name, value in hook.headers.items()}
        if hook.body_template is not None:
            headers.setdefault("content-type", ("content-type", hook.content_type))
        headers["idempotency-key"] = ("idempotency-key", f"{subject.execution_id}:{hook.key}")
        headers.update({name.lower(): (name, value) for name, value in authorized(hook.auth_type, auth)})
        return HttpRequest(hook.method, url, tuple(headers.values()), body)

    async def _call(self, hook: HttpHook, request: HttpRequest, ours: list[bytes], timeout: float) -> Any:
        try:
            response = await self._sender.send(request, timeout=timeout, max_bytes=LARGEST_BODY + 1)
        except (NotSent, MaybeSent) as trouble:
            raise Temporary("timeout" if trouble.reason == "timeout" else "connection", strike=True) from None
        except Invalid as error:
            blocked = error.code == "url_blocked"
            raise Permanent(f"{BLOCKED}{why_blocked(error)}" if blocked else error.code) from None
        _refuse(response)
        if len(response.body) > LARGEST_BODY:
            raise Permanent("too_large")
        body = response.body
        for secret in ours:
            # Some endpoints repeat the request; what they say is kept and shown, credentials are not.
            body = body.replace(secret, REDACTED.encode())
        try:
            return value_of(body, hook.response_type, hook.response_path)
        except NoValue as trouble:
            raise Permanent(trouble.reason) from None


def authorized(kind: str, auth: Auth) -> list[tuple[str, str]]:
    """The header that says who we are; none where the hook needs none. Raises `Permanent` where its secret is gone."""
    try:
        match kind:
            case "bearer":
                return [("authorization", f"Bearer {auth['token']}")]
            case "basic":
                pair = f"{auth['username']}:{auth['password']}".encode()
                return [("authorization", f"Basic {base64.b64encode(pair).decode()}")]
            case "header":
                return [(auth["name"], auth["value"])]
    except KeyError:
        raise Permanent("no_credentials") from None
    return []


def _secrets(kind: str, auth: Auth) -> list[bytes]:
    """What of the credentials would be known again in an answer."""
    sent = [value.rpartition(" ")[2] for _, value in authorized(kind, auth)]
    plain = [auth[name] for name in ("token", "password", "value") if name in auth]
    return [each.encode() for each in dict.fromkeys((*plain, *sent)) if len(each) >= SHORTEST_SECRET]


def _refuse(response: HttpResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    if status >= 500 or status in _AGAIN:
        raise Temporary(f"http_{status}", seconds_to_wait(response.headers), strike=status >= 500)
    raise Permanent(f"http_{status}")
