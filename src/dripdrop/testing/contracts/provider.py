"""Does this provider keep its contract?

Subclass the suite that fits, say what the provider is given, and let pytest run it:

    class TestAcme(HttpProviderContract):
        provider = AcmeProvider
        credentials = {"api_key": "key-12345678"}
        accepted = answer(200, {"id": "m1"})

`ProviderContract` is for every shape: say in `observe` how one delivery is made and what was spoken.
`HttpProviderContract` does that for providers of `request` and `outcome`. What a provider tells later is the matter of
`FeedbackContract` (dripdrop.testing.contracts.feedback). It needs pytest and nothing of ours: no fixtures, no database.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

import pytest

from dripdrop.channels.deliver import Speaker, doubt
from dripdrop.contracts import Askable, HttpResponse, Idempotent
from dripdrop.plugins import missing_callbacks, slug
from dripdrop.rules.message import Delivery, Message
from dripdrop.rules.outcome import Accepted, CannotTell, Cause, Kind, Outcome, Rejected, Unknown
from dripdrop.rules.redaction import is_secret_key
from dripdrop.testing.contracts.wire import HANGS, LETTER, LOST, REFUSED, Trouble, Wire, delivery_of, frozen, readable

_SECONDS = 0.2
_MOST_DETAIL = 2000
_PLANTED = "planted-secret-4711"
__all__ = ["HttpProviderContract", "ProviderContract"]


class ProviderContract:
    """What holds for a provider of every shape."""

    provider: ClassVar[Any]
    credentials: ClassVar[Mapping[str, Any]] = {}
    required: ClassVar[Sequence[str] | None] = None
    """The credentials it cannot do without; all of them where it is not said."""
    other_credentials: ClassVar[Mapping[str, Any] | None] = None
    """Others that are good too; made of the first where it is not said."""
    config: ClassVar[Mapping[str, Any]] = {}
    message: ClassVar[Message] = LETTER
    recipient: ClassVar[str] = "ann.lee@recipient.example"
    accepted: ClassVar[Any]
    """The answer that means: taken."""

    def made(self) -> Any:
        """The provider, a new one where a class was given."""
        return self.provider() if inspect.isclass(self.provider) else self.provider

    def delivery(self, **step: Any) -> Delivery:
        made = self.made()
        return delivery_of(self.message, self.recipient, made.channel, made.name, **step)

    def asked(self, credentials: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The config of one call."""
        return frozen(self.config, self.credentials if credentials is None else credentials)

    def others(self) -> dict[str, Any]:
        """Credentials that differ from the first in every text."""
        told = self.other_credentials
        return dict(told) if told is not None else {k: _other(v) for k, v in self.credentials.items()}

    async def observe(self, provider: Any, delivery: Delivery, config: Mapping[str, Any], told: Any) -> tuple[Any, str]:
        """Deliver once on a wire that answers `told`; the outcome as the adapter gives it, and what was spoken.

        `told` is `accepted`, or a `Trouble`. Say here how your provider is connected to such a wire.
        """
        raise NotImplementedError("write observe() for a provider that is not of the HTTP shape")

    def see(self, told: Any, config: Mapping[str, Any] | None = None, provider: Any = None) -> tuple[Any, str]:
        given = self.asked() if config is None else config
        return asyncio.run(self.observe(provider or self.made(), self.delivery(), given, told))

    def test_it_has_a_name_a_channel_and_every_callback(self) -> None:
        made = self.made()
        assert made.name == slug(made.name)
        assert made.channel == slug(made.channel)
        assert missing_callbacks("provider", made) == []

    def test_good_credentials_have_no_problem(self) -> None:
        assert list(self.made().validate_credentials(dict(self.credentials))) == []

    def test_a_missing_credential_is_named(self) -> None:
        made = self.made()
        for key in self.credentials if self.required is None else self.required:
            for without in (_without(self.credentials, key), {**self.credentials, key: ""}):
                problems = list(made.validate_credentials(without))
                assert all(isinstance(each, str) for problem in problems for each in problem)
                assert key in [field for field, _ in problems], f"a missing {key} is not named"

    def test_what_is_taken_comes_back_as_accepted(self) -> None:
        outcome, spoken = self.see(self.accepted)
        assert isinstance(outcome, Accepted), outcome
        assert outcome.provider_message_id is None or isinstance(outcome.provider_message_id, str)
        assert isinstance(outcome.meta, Mapping)
        assert spoken, "nothing was spoken"

    @pytest.mark.parametrize("trouble", [REFUSED, LOST, HANGS], ids=lambda trouble: trouble.how)
    def test_trouble_on_the_wire_is_never_success(self, trouble: Trouble) -> None:
        """What may have left is a doubt; only what surely did not leave is a refusal, and then a temporary one."""
        outcome, _ = self.see(trouble)
        if trouble is REFUSED and isinstance(outcome, Rejected):
            assert (outcome.kind, outcome.cause) == ("temporary", "adapter")
        else:
            assert isinstance(outcome, Unknown), outcome

    def test_no_credential_shows(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        provider = self.made()
        with caplog.at_level(logging.DEBUG):
            seen = [self.see(told, provider=provider)[0] for told in (self.accepted, REFUSED, LOST)]
        shown = "\n".join((repr(seen), repr(provider), caplog.text, *capsys.readouterr()))
        for name, value in _secrets(self.credentials):
            assert value not in shown, f"the credential {name} shows"

    def test_config_is_read_at_each_call(self) -> None:
        provider = self.made()
        self.see(self.accepted, provider=provider)
        _, spoken = self.see(self.accepted, self.asked(self.others()), provider)
        for name, value in _secrets(self.credentials):
            if value != self.others().get(name):
                assert value not in spoken, f"{name} of the first call is used in the second"

    def test_nothing_is_remembered_and_nothing_is_changed(self) -> None:
        """A config that is written to raises here; the provider's own attributes are compared."""
        provider, delivery = self.made(), self.delivery()
        before, given = repr(_state(provider)), copy.deepcopy(delivery)
        first = asyncio.run(self.observe(provider, delivery, self.asked(), self.accepted))
        second = asyncio.run(self.observe(provider, delivery, self.asked(), self.accepted))
        assert first == second
        assert repr(_state(provider)) == before
        assert delivery == given

    def test_what_it_says_of_doubts_it_can_do(self) -> None:
        made, way = self.made(), doubt(self.made())
        if isinstance(way, Idempotent):
            _, spoken = self.see(self.accepted)
            delivery = self.delivery()
            assert delivery.idempotency_key in spoken or str(delivery.id) in spoken, "the key is not sent"
        if isinstance(way, Askable):
            assert hasattr(made, "find") or (hasattr(made, "find_request") and hasattr(made, "found"))


class HttpProviderContract(ProviderContract):
    """What holds besides for a provider of two pure functions."""

    throttled: ClassVar[HttpResponse] = HttpResponse(429, {"retry-after": "7"}, b"{}")
    unauthorized: ClassVar[HttpResponse] = HttpResponse(401, {}, b"{}")

    def readable(self, request: Any) -> str:
        """What a request says; override it where the message is packed (base64 of a whole e-mail)."""
        return readable(request)

    async def observe(self, provider: Any, delivery: Delivery, config: Mapping[str, Any], told: Any) -> tuple[Any, str]:
        request = provider.request(delivery, config)
        if isinstance(told, HttpResponse):
            return provider.outcome(told), self.readable(request)
        speaker = Speaker(Wire(told).sender())
        try:
            outcome = await speaker.send(provider, delivery, config, timeout=_SECONDS)
        finally:
            await speaker.aclose()
        return outcome, self.readable(request)

    def outcome(self, status: int, body: bytes = b"{}", **headers: str) -> Any:
        return self.made().outcome(HttpResponse(status, headers, body))

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"<html>", b"[", b"[]", b"null", b'"x"', b"1", b'{"a": [1]}'])
    def test_no_answer_makes_it_raise(self, body: bytes) -> None:
        for status in (200, 201, 202, 204, 301, 400, 401, 404, 422, 429, 500, 503):
            self.outcome(status, body)

    def test_it_speaks_the_words_of_the_contract(self) -> None:
        for status in range(200, 600):
            outcome = self.outcome(status)
            assert isinstance(outcome, get_args(Outcome)), f"{status}: {outcome!r}"
            if isinstance(outcome, Rejected):
                assert outcome.kind in get_args(Kind), f"{status}: {outcome.kind!r} is no kind"
                assert outcome.cause in get_args(Cause), f"{status}: {outcome.cause!r} is no cause"
            assert 200 <= status < 300 or not isinstance(outcome, Accepted), f"{status} is not accepted"

    def test_a_refused_login_is_not_the_persons_fault(self) -> None:
        outcome = self.made().outcome(self.unauthorized)
        assert isinstance(outcome, Rejected), outcome
        assert (outcome.cause, outcome.kind == "bounced") == ("adapter", False)

    def test_it_waits_as_long_as_it_is_told(self) -> None:
        outcome = self.made().outcome(self.throttled)
        assert isinstance(outcome, Rejected), outcome
        assert (outcome.kind, outcome.cause, outcome.retry_after) == ("temporary", "throttled", 7.0)

    def test_a_broken_server_never_refuses_for_good(self) -> None:
        for status in (500, 502, 503, 504):
            outcome = self.outcome(status)
            assert isinstance(outcome, Unknown) or (isinstance(outcome, Rejected) and outcome.kind == "temporary")

    def test_no_secret_of_the_answer_is_kept(self) -> None:
        headers = {"set-cookie": f"session={_PLANTED}", "x-api-key": _PLANTED, "authorization": f"Bearer {_PLANTED}"}
        for status in (200, 400, 401, 429, 500):
            outcome = self.made().outcome(HttpResponse(status, headers, b"{}"))
            assert _PLANTED not in repr(outcome), f"{status}: a secret of the answer is kept"

    def test_no_personal_data_is_kept(self) -> None:
        said = f"{self.recipient} and ann.lee@private.example and +4915112345678 cannot be reached"
        for status, body in ((status, body) for status in (200, 400, 401, 422, 500) for body in _saying(said)):
            outcome = repr(self.outcome(status, body))
            for personal in (self.recipient, "ann.lee@private.example", "4915112345678"):
                assert personal not in outcome, f"{status}: {personal} is kept"

    def test_no_whole_body_is_kept(self) -> None:
        for status, body in ((status, body) for status in (200, 400, 500) for body in _saying("lorem ipsum " * 1000)):
            assert len(repr(self.outcome(status, body))) < _MOST_DETAIL, f"{status}: a whole body is kept"

    def test_a_question_without_an_answer_is_not_answered_with_no(self) -> None:
        """Of a message that the provider may have, only the provider can say that it has not."""
        made = self.made()
        for status, body in ((200, b"<html>"), (200, b"[]"), (401, b"{}"), (404, b"<html>"), (500, b"{}")):
            if isinstance(doubt(made), Askable) and hasattr(made, "found"):
                assert isinstance(made.found(HttpResponse(status, {}, body)), CannotTell), (status, body)

    def test_every_secret_is_taken_out_by_the_core_even_where_the_provider_echoes_it(self) -> None:
        for secret in (value for name, value in _secrets(self.credentials) if is_secret_key(name)):
            for body in _saying(f"unknown: {secret}."):
                wire = Wire(HttpResponse(400, {}, body))
                sent = Speaker(wire.sender()).send(self.made(), self.delivery(), self.asked(), timeout=_SECONDS)
                assert secret not in repr(asyncio.run(sent))


def _saying(text: str) -> list[bytes]:
    """Answers that say this text where APIs put what they say."""
    import json

    shapes: list[Any] = [
        {"message": text, "Message": text, "error": text, "description": text, "detail": text, "title": text},
        {"error": {"message": text, "error_user_msg": text}, "errors": [{"message": text, "detail": text}]},
        {"code": 1, "ErrorCode": 300, "error_code": 400, "message": text, "Message": text},
    ]
    return [*(json.dumps(shape).encode() for shape in shapes), text.encode()]


def _secrets(credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Credentials long enough to be told from chance."""
    return [(name, value) for name, value in credentials.items() if isinstance(value, str) and len(value) >= 6]


def _other(value: Any) -> Any:
    return f"other-{value[::-1]}" if isinstance(value, str) else value


def _without(credentials: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in credentials.items() if name != key}


def _state(provider: Any) -> list[Any]:
    held = [getattr(provider, "__dict__", {}), *(vars(kind) for kind in type(provider).__mro__[:-1])]
    return [{name: value for name, value in each.items() if not name.startswith("__")} for each in held]
