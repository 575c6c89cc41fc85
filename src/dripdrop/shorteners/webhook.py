"""How is a short link asked of an HTTP endpoint?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from dripdrop.contracts import HttpRequest, LinkRequest, ShortLink, ShortLinkFailed


class WebhookShortener:
    """POSTs the request as JSON to `endpoint`, with `headers`; the answer's `short_url` (or `shortUrl`) is the link.

    The key travels as `Idempotency-Key` too, since a call whose answer was lost is made again. 429 and 5xx are
    temporary; every other status, and a 2xx without a link, is permanent.
    """

    kind = "shortener"
    name = "webhook"

    async def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        endpoint = options.get("endpoint")
        if not isinstance(endpoint, str) or not endpoint.strip():
            raise ShortLinkFailed("permanent", "no_endpoint")
        headers = options.get("headers")
        own = [(str(n), str(v)) for n, v in headers.items()] if isinstance(headers, Mapping) else []
        ours = (("content-type", "application/json"), ("idempotency-key", request.idempotency_key))
        taken = {name.lower() for name, _ in own}
        call = HttpRequest(
            "POST",
            endpoint.strip(),
            (*(each for each in ours if each[0] not in taken), *own),
            orjson.dumps(_body(request), default=_plain),
        )
        response = await options["send"](call)
        if response.status == 429 or response.status >= 500:
            raise ShortLinkFailed("temporary", f"status_{response.status}")
        if not 200 <= response.status < 300:
            raise ShortLinkFailed("permanent", f"status_{response.status}")
        return _read(response.body)


def _body(request: LinkRequest) -> dict[str, Any]:
    names = (name for name in LinkRequest.__slots__ if name != "collisions")
    return {name: getattr(request, name) for name in names}


def _read(body: bytes) -> ShortLink:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ShortLinkFailed("permanent", "no_json") from None
    if not isinstance(answer, dict):
        raise ShortLinkFailed("permanent", "no_json")
    found = answer.get("short_url") or answer.get("shortUrl")
    identifier = answer.get("provider_id") or answer.get("id")
    return ShortLink(found, None if identifier is None else str(identifier), answer)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)
