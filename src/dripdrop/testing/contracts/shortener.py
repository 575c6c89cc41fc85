"""Does this shortener keep its contract?

Subclass the suite, say what the shortener is given, and let pytest run it:

    class TestAcme(ShortenerContract):
        shortener = AcmeShortener
        options = {"workspace": "w1"}

Where it calls an endpoint through `options["send"]`, say `speaks = True` and in `answer` what comes back, and the suite
looks at everything that can go wrong on the wire too. It needs pytest and nothing of ours: no fixtures, no database.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from dripdrop.contracts import HttpRequest, HttpResponse, LinkRequest, ShortLink, ShortLinkFailed
from dripdrop.plugins import missing_callbacks, slug
from dripdrop.shorteners.asking import ask

PLANTED = "planted-secret-4711"
_SECONDS = 5.0
_PAGE = "https://shop.example/a?x=1&y=2#z"
__all__ = ["ShortenerContract", "request_of"]


def request_of(idempotency_key: str = "a" * 64, destination: str = _PAGE, **more: Any) -> LinkRequest:
    """A request as the engine makes it, for one link of one message."""
    values: dict[str, Any] = {
        "original_url": destination,
        "destination_url": destination,
        "idempotency_key": idempotency_key,
        "tenant_key": "acme",
        "channel": "email",
        "sequence_key": "onboarding",
        "step_key": "welcome",
        "utm": MappingProxyType({"source": "dripdrop", "medium": "email"}),
    }
    return LinkRequest(**(values | more))


class ShortenerContract:
    """What holds for every shortener."""

    shortener: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    skips: ClassVar[bool] = False
    """It leaves every link as it is."""
    speaks: ClassVar[bool] = False
    """It calls an endpoint through `send`."""

    def answer(self, call: HttpRequest) -> HttpResponse:
        """What its endpoint answers when all is well."""
        raise AssertionError("it used send: say speaks = True, and with answer() what its endpoint answers")

    def made(self) -> Any:
        """The shortener, a new one where a class was given."""
        return self.shortener() if inspect.isclass(self.shortener) else self.shortener

    def asked(self, request: LinkRequest | None = None, told: Any = None, seen: list[HttpRequest] | None = None) -> Any:
        """The link, or the failure. `told` is what the wire does instead: an answer to give, or a failure to raise."""

        async def send(call: HttpRequest) -> HttpResponse:
            if seen is not None:
                seen.append(call)
            if isinstance(told, Exception):
                raise told
            if told is not None:
                return told  # type: ignore[no-any-return]
            return self.answer(call)

        given = {"now": datetime(2030, 3, 1, tzinfo=UTC), "public_url": "https://mail.example.org", "send": send}
        options = MappingProxyType({**self.options, **given})

        async def once() -> ShortLink | ShortLinkFailed:
            try:
                return await ask(self.made(), request or request_of(), options, timeout=_SECONDS)
            except ShortLinkFailed as failed:
                return failed

        return asyncio.run(once())

    def link(self, request: LinkRequest | None = None) -> ShortLink:
        """The link where all is well."""
        link = self.asked(request)
        assert isinstance(link, ShortLink), f"no link was made: {link}"
        return link

    def test_it_has_a_name_and_its_callback(self) -> None:
        made = self.made()
        assert made.name == slug(made.name)
        assert missing_callbacks("shortener", made) == []

    def test_it_makes_a_web_address_or_says_that_it_does_not(self) -> None:
        link = self.link()
        assert link.skipped == self.skips
        assert link.skipped or str(link.short_url).startswith(("https://", "http://"))

    def test_the_same_key_gives_the_same_link(self) -> None:
        assert self.link(request_of("a" * 64)) == self.link(request_of("a" * 64))

    @pytest.mark.parametrize(
        "destination",
        [
            "http://shop.example",
            "https://shop.example/\u00fc?q=\u65e5\u672c&r='\"<>",
            "https://b\u00fccher.example/%C3%BC?a=b&amp;c",
            "https://shop.example/?" + "x" * 1_900,
        ],
    )
    def test_any_address_can_be_a_destination(self, destination: str) -> None:
        link = self.link(request_of(destination=destination))
        assert link.skipped == self.skips

    def test_a_preview_calls_nobody(self) -> None:
        made = self.made()
        if hasattr(made, "preview_link"):

            def forbidden(call: HttpRequest) -> HttpResponse:
                raise AssertionError("a preview must not call anybody")

            shown = made.preview_link(
                request_of(), MappingProxyType({**self.options, "public_url": "https://x.example", "send": forbidden})
            )
            assert isinstance(shown, ShortLink)

    def test_the_key_travels_so_that_a_lost_answer_makes_no_second_link(self) -> None:
        seen: list[HttpRequest] = []
        self.asked(request_of("k" * 64), seen=seen)
        for call in seen:
            spoken = call.body + repr((call.url, call.headers)).encode()
            assert b"k" * 64 in spoken

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_an_endpoint_in_trouble_is_temporary(self, status: int) -> None:
        self._fails(HttpResponse(status, {}, b"busy"), "temporary")

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 422])
    def test_an_endpoint_that_says_no_is_permanent(self, status: int) -> None:
        self._fails(HttpResponse(status, {}, b"no"), "permanent")

    @pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b"[]", b'{"short_url": null}', b'{"short_url": "no url"}'])
    def test_an_answer_without_a_link_is_permanent(self, body: bytes) -> None:
        self._fails(HttpResponse(200, {}, body), "permanent")

    @pytest.mark.parametrize("kind", ["temporary", "permanent"])
    def test_what_the_sender_says_is_passed_on(self, kind: Any) -> None:
        self._fails(ShortLinkFailed(kind, "unreachable"), kind)

    def test_no_answer_leaks_into_the_reason(self) -> None:
        if self.speaks:
            for status in (200, 400, 500):
                failed = self.asked(told=HttpResponse(status, {"x-key": PLANTED}, PLANTED.encode()))
                assert PLANTED not in f"{failed} {failed!r}"

    def _fails(self, told: Any, kind: str) -> None:
        if self.speaks:
            failed = self.asked(told=told)
            assert isinstance(failed, ShortLinkFailed), f"a link came of {told}"
            assert failed.kind == kind
