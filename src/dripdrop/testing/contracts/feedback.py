"""Does this provider believe the right webhooks, and understand all that is in them?

class TestAcmeFeedback(FeedbackContract):
    provider = AcmeProvider
    secrets = {"webhook_secret": "secret-12345678"}
    payloads = [{"id": "e1", "event": "delivered", "to": "ann@example.org"}, ...]

    def webhook(self, events, secrets, at):
        body = json.dumps(events).encode()
        return body, {"x-acme-signature": sign(body, secrets["webhook_secret"], at)}
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias, get_args

import orjson
import pytest

from dripdrop.contracts import Feedback, InboundMessage, Verified
from dripdrop.errors import Invalid, Unauthorized
from dripdrop.rules.feedback import Severity, Status
from dripdrop.testing.contracts.wire import NOW, frozen

Call: TypeAlias = tuple[bytes, Mapping[str, str]]
_STRANGE: tuple[Any, ...] = ("something_new", None, 7, [], {}, True, [{"a": 1}], "\0")
_BATCH = 1000
__all__ = ["FeedbackContract"]


class FeedbackContract:
    """What holds for the feedback half of a provider."""

    provider: ClassVar[Any]
    secrets: ClassVar[Mapping[str, Any]]
    """What a webhook is verified with, as it stands in the adapter's credentials."""
    config: ClassVar[Mapping[str, Any]] = {}
    payloads: ClassVar[Sequence[Mapping[str, Any]]]
    """Events as the provider sends them, each another one; at least one of them is feedback."""
    inbound: ClassVar[Sequence[Call]] = ()
    """(body, headers) of messages that came in, for a provider that has `parse_inbound`."""
    signs_body: ClassVar[bool] = True
    signs_time: ClassVar[bool] = True
    batches: ClassVar[bool] = False
    """Whether one call carries several events."""

    def webhook(self, events: Sequence[Mapping[str, Any]], secrets: Mapping[str, Any], at: datetime) -> Call:
        """The call that carries these events (one, where it does not batch): (body, headers in lower case)."""
        raise NotImplementedError("write webhook(): how the provider signs")

    def unsigned(self, events: Sequence[Mapping[str, Any]]) -> Call:
        """The same without a signature; override it where the signature stands in the body."""
        body, headers = self.webhook(events, self.secrets, NOW)
        return body, {name: value for name, value in headers.items() if name == "content-type"}

    def made(self) -> Any:
        return self.provider() if inspect.isclass(self.provider) else self.provider

    def verify(self, call: Call, secrets: Mapping[str, Any] | None = None) -> Any:
        config = frozen(
            self.config, self.secrets if secrets is None else secrets, url="https://example.com/", method="POST"
        )
        return self.made().verify_webhook(call[0], call[1], config)

    def events(self, *payloads: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        body, headers = self.webhook(payloads, self.secrets, NOW)
        return list(self.made().parse_events(body, headers))

    def other_secrets(self) -> dict[str, Any]:
        """Secrets of the same form that are not these; override it where a reversed text is none (a key)."""
        return {name: f"other-{value[::-1]}" for name, value in self.secrets.items()}

    def test_its_routes_are_a_method_and_a_suffix(self) -> None:
        routes = list(self.made().webhook_routes(None))
        assert routes, "a provider with feedback has a route"
        assert all(method in ("GET", "POST") and isinstance(suffix, str) for method, suffix in routes)

    def test_a_call_of_the_provider_is_believed(self) -> None:
        verified = self.verify(self.webhook(self.payloads[:1], self.secrets, NOW))
        assert verified is None or isinstance(verified, Verified)
        if isinstance(verified, Verified):
            assert all(isinstance(key, str) and key for key in verified.once)

    @pytest.mark.parametrize(
        "forged", ["with another secret", "without a signature", "without a secret of ours", "changed"]
    )
    def test_a_forged_call_is_refused(self, forged: str) -> None:
        first, others = self.payloads[:1], self.other_secrets()
        calls = [self.webhook(first, self.secrets, NOW)]
        secrets: Mapping[str, Any] = self.secrets
        if forged == "with another secret":
            calls = [self.webhook(first, others, NOW)]
        elif forged == "without a signature":
            calls = [self.unsigned(first), (b"", {}), (b"\xff", {})]
        elif forged == "without a secret of ours":
            secrets = {}
        else:
            calls = [(body, calls[0][1]) for body in _changed(calls[0][0])] if self.signs_body else []
        for call in calls:
            with pytest.raises(Unauthorized) as caught:
                self.verify(call, secrets)
            assert all(str(value) not in str(caught.value) for value in self.secrets.values()), "a secret shows"

    def test_an_old_call_is_refused(self) -> None:
        """However good its signature is: it may have been recorded. Where no time is signed, nothing can be said."""
        for at in (NOW - timedelta(days=1), NOW + timedelta(days=1)) if self.signs_time else ():
            with pytest.raises(Unauthorized):
                self.verify(self.webhook(self.payloads[:1], self.secrets, at))

    def test_while_a_secret_is_rotated_both_hold(self) -> None:
        both = {name: [other, self.secrets[name]] for name, other in self.other_secrets().items()}
        for secrets in (self.secrets, self.other_secrets()):
            self.verify(self.webhook(self.payloads[:1], secrets, NOW), both)

    def test_every_event_has_an_id_of_its_own_that_stays(self) -> None:
        seen: dict[str, Mapping[str, Any]] = {}
        for payload in self.payloads:
            once, again = self.events(payload), self.events(payload)
            assert once, f"nothing was read of {payload}"
            assert orjson.dumps(once), "a payload is kept as JSON"
            for event, same in zip(once, again, strict=True):
                key = self.made().provider_event_id(event)
                assert isinstance(key, str), f"no id: {event}"
                assert key == self.made().provider_event_id(same), "the same event has two ids"
                assert seen.setdefault(key, payload) is payload, f"two events have the id {key}"

    def test_feedback_is_said_in_our_words(self) -> None:
        found = [
            (payload, self.made().normalize_feedback(each))
            for payload in self.payloads
            for each in self.events(payload)
        ]
        told = [feedback for _, feedback in found if feedback is not None]
        assert told, "none of the payloads is feedback"
        for feedback in told:
            _check(feedback)
            kept = f"{feedback.reason} {feedback.detail}"
            assert not feedback.recipient or feedback.recipient not in kept, "whom it is about is in the reason"

    def test_feedback_finds_its_delivery(self) -> None:
        found = [self.made().resolve_delivery(each) for payload in self.payloads for each in self.events(payload)]
        assert any(found), "no payload names a delivery"
        for whose in found:
            assert whose is None or set(whose) <= {"delivery_id", "provider_message_id"}
            assert all(isinstance(value, str) and value and "<" not in value for value in (whose or {}).values())

    def test_an_event_that_nobody_knows_is_no_error(self) -> None:
        for payload in self.payloads:
            for strange in _strange(payload):
                for event in self.events(strange):
                    self._understand(event)

    def test_a_body_that_is_none_is_said_to_be_none(self) -> None:
        for body in (b"", b"\xff\xfe", b"[", b"{", b"null", b"1", b'"text"', b"[1]", b"<html>"):
            for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
                try:
                    events = list(self.made().parse_events(body, {"content-type": kind}))
                except Invalid:
                    continue
                for event in events:
                    self._understand(event)

    def test_of_a_batch_nothing_is_lost(self) -> None:
        several = [
            {**copy.deepcopy(dict(payload)), "n": n}
            for n, payload in zip(range(_BATCH), _round(self.payloads), strict=False)
        ]
        if self.batches:
            assert len(self.events(*several)) == _BATCH
        else:
            assert len(self.events(self.payloads[0])) == 1

    def test_what_came_in_is_read(self) -> None:
        made = self.made()
        assert bool(self.inbound) == hasattr(made, "parse_inbound"), "give `inbound` for a provider with parse_inbound"
        for body, headers in self.inbound:
            messages = [each for event in made.parse_events(body, headers) for each in made.parse_inbound(event)]
            assert messages, "no message was read"
            for message in messages:
                assert isinstance(message, InboundMessage)
                assert message.sender, "a message has no sender"
                assert all("<" not in each for each in (*message.references, message.message_id or ""))
            assert [made.normalize_feedback(event) for event in made.parse_events(body, headers)] == [None] * len(
                messages
            )

    def _understand(self, event: Mapping[str, Any]) -> None:
        made = self.made()
        assert made.provider_event_id(event) is None or isinstance(made.provider_event_id(event), str)
        assert made.resolve_delivery(event) is None or isinstance(made.resolve_delivery(event), Mapping)
        feedback = made.normalize_feedback(event)
        if feedback is not None:
            _check(feedback)
        if hasattr(made, "parse_inbound"):
            assert all(isinstance(each, InboundMessage) for each in made.parse_inbound(event))


def _check(feedback: Any) -> None:
    assert isinstance(feedback, Feedback), feedback
    assert feedback.status in get_args(Status), f"{feedback.status!r} is no status"
    assert feedback.severity is None or feedback.severity in get_args(Severity)
    assert feedback.occurred_at is None or feedback.occurred_at.tzinfo is not None, "a time without a zone"
    assert feedback.recipient is None or isinstance(feedback.recipient, str)
    assert len(json.dumps(dict(feedback.detail))) + len(feedback.reason) < 1000, "a whole text is kept"


def _changed(body: bytes) -> Iterator[bytes]:
    for at in {0, len(body) // 3, len(body) // 2, len(body) - 1}:
        yield body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
    yield body + b" "
    yield body[:-1]


def _strange(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The payload with each of its values, to any depth, missing or replaced by what nobody expects there."""
    for path in _paths(payload):
        yield _set(payload, path, None, drop=True)
        yield from (_set(payload, path, strange) for strange in _STRANGE)


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        yield (*before, key)
        yield from _paths(each, (*before, key))


def _set(payload: Mapping[str, Any], path: Sequence[Any], value: Any, *, drop: bool = False) -> Mapping[str, Any]:
    changed: Any = copy.deepcopy(dict(payload))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return dict(changed)


def _round(payloads: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    while True:
        yield from payloads
