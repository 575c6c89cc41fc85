"""Which parts of the web are served, and where?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dripdrop.errors import Invalid, MissingExtra

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from dripdrop.web.public import Run
    from dripdrop.web.texts import Texts


@dataclass(frozen=True, slots=True)
class Receiving:
    """What the part `webhooks` needs: who takes a request in, how large it may be, and the public address, if any."""

    receive: Callable[..., Any]
    largest: Callable[[], int]
    public_url: Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Leaving:
    """What unsubscribing asks of the settings, at each request: whether enrollments end, and the host's own texts."""

    ends: Callable[[], bool]
    texts: Callable[[], Texts]


def build(
    run: Run,
    secrets: Callable[[], Sequence[bytes]],
    parts: Sequence[str] = ("public",),
    *,
    receiving: Receiving | None = None,
    leaving: Leaving | None = None,
    others: Mapping[str, Sequence[Any]] | None = None,
) -> Starlette:
    """An ASGI application of the named parts, to be served alone or mounted under any prefix; health comes with it.

    `run` carries out an operation, `secrets` gives what links are signed with; both are asked at each request.
    `receiving` brings the part `webhooks`: alone it is served at the mount's root, else under `/webhooks`.
    `leaving` says what follows when somebody unsubscribes, and in which words. `others` are parts made elsewhere, by
    name: their Starlette routes. Raises `Invalid` for a part nobody knows and `MissingExtra`.
    """
    try:
        from starlette.applications import Starlette

        from dripdrop.web.public import Health, Public
        from dripdrop.web.receiver import Webhooks
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "dripdrop":
            raise
        raise MissingExtra("Serving pages", "web") from None
    public = Public(run, secrets) if leaving is None else Public(run, secrets, leaving.ends, leaving.texts)
    known: dict[str, Sequence[Any]] = {"public": public.routes(), **(others or {})}
    if receiving is not None:
        webhooks = Webhooks(receiving.receive, receiving.largest, receiving.public_url)
        known["webhooks"] = webhooks.routes("" if set(parts) == {"webhooks"} else "/webhooks")
    if unknown := [part for part in parts if part not in known]:
        raise Invalid(
            f"There is no web part {', '.join(unknown)}.", cure=f"Known are: {', '.join(known)}.", code="unknown_part"
        )
    routes = [route for part in dict.fromkeys(parts) for route in known[part]]
    return Starlette(routes=[*routes, *Health(run).routes()])
