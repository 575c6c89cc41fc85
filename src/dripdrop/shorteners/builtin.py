"""How does a short link look that this installation serves itself?"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters, digits
from typing import Any

from dripdrop.contracts import LinkRequest, ShortLink, ShortLinkFailed

LENGTH = 11
ALPHABET = digits + ascii_letters


class BuiltInShortener:
    """`{public_url}/l/{code}`, or `https://{domain}/l/{code}` where that domain leads to the same application.

    The code (11 of 62 characters) is a MAC of the request's key, so nobody can guess another's, and a message rendered
    again has the same links.
    """

    kind = "shortener"
    name = "builtin"

    def __init__(self, secrets: Callable[[], Sequence[bytes]]) -> None:
        self._secrets = secrets

    async def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        return self.preview_link(request, options)

    def preview_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        """Nothing is called and nothing kept, so a preview shows the very link. Without an address it is put off."""
        base = f"https://{_host(request.domain)}" if request.domain else options.get("public_url")
        if not base:
            raise ShortLinkFailed("temporary", "public_url")
        code = code_of(self._secrets()[0], request.idempotency_key, request.collisions)
        return ShortLink(f"{base.rstrip('/')}/l/{code}", code, {"channel": request.channel})


def code_of(secret: bytes, key: str, collisions: int = 0) -> str:
    """The code of a link; another one for each collision."""
    digest = hmac.digest(secret, f"dripdrop short link\0{key}\0{collisions}".encode(), "sha256")
    number, code = int.from_bytes(digest), ""
    for _ in range(LENGTH):
        number, rest = divmod(number, len(ALPHABET))
        code += ALPHABET[rest]
    return code


def _host(domain: str) -> str:
    return domain.rpartition("://")[2].rstrip("/")
