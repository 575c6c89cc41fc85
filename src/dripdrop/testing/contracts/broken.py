"""Does the suite see what is wrong?  A sound provider, and others that are wrong in one point each.

`BROKEN` names for each of them the one test that must refuse it; a suite that lets one through is broken itself.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, saying
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery, Feedback, HttpRequest, HttpResponse
from dripdrop.rules.message import Message, Sms
from dripdrop.rules.outcome import Accepted, Outcome, Rejected
from dripdrop.testing.contracts.feedback import FeedbackContract
from dripdrop.testing.contracts.provider import HttpProviderContract, ProviderContract
from dripdrop.testing.contracts.wire import Trouble, answer, readable

__all__ = ["BROKEN", "SoundProvider", "suite_of"]

_LONG = 1000


class SoundProvider:
    """Short messages over Acme, which does not exist."""

    channel = "sms"
    name = "acme"

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        message = delivery.message
        assert isinstance(message, Sms)
        said = {"to": message.to, "text": message.body, "metadata": {DELIVERY_KEY: str(delivery.id)}}
        headers = (("authorization", f"Bearer {self.key(config)}"), ("content-type", "application/json"))
        return HttpRequest("POST", "https://api.acme.example/messages", headers, json.dumps(said).encode())

    def key(self, config: Config) -> str:
        return str(config["api_key"])

    def outcome(self, response: HttpResponse) -> Outcome:
        said = json_of(response)
        if 200 <= response.status < 300:
            return Accepted(bodies.string(said, "id"), {"status": response.status})
        return by_status(response, {"said": saying(said.get("message", ""))})

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if credentials.get("api_key") else [("api_key", "is required")]

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return [("POST", "")]

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        secrets = self.secrets(config)
        stamp, signature = callers.header(headers, "acme-time"), callers.header(headers, "acme-signature")
        if not self.holds(signature, [sign(raw_body, stamp, secret) for secret in secrets]):
            callers.refuse("The signature does not hold.")
        self.fresh(stamp, config)

    def secrets(self, config: Config) -> Sequence[str]:
        return callers.secrets(config, "webhook_secret")

    def holds(self, signature: str, wanted: Sequence[str]) -> bool:
        return callers.any_same(signature, wanted)

    def fresh(self, stamp: str, config: Config) -> None:
        callers.fresh(stamp, config)

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return bodies.json_objects(raw_body)

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return bodies.string(payload, "event_id")

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        found = bodies.string(payload, "metadata", DELIVERY_KEY)
        return {"delivery_id": found} if found else None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        event = bodies.string(payload, "event")
        at = bodies.moment(payload.get("at"))
        if event == "delivered":
            return Feedback("delivered", bodies.string(payload, "to"), at, event=event)
        return Feedback("bounced", bodies.string(payload, "to"), at, "permanent") if event == "undeliverable" else None


def sign(body: bytes, stamp: str, secret: str) -> str:
    """Acme's signature: an HMAC over time and body, in hex."""
    return hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex()


class CopiesHeaders(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return by_status(response, {"headers": dict(response.headers)})


class KeepsTheBody(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return by_status(response, {"raw": response.body.decode("latin-1")} if len(response.body) > _LONG else {})


class RepeatsWhatWasSaid(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return by_status(response, {"said": str(json_of(response).get("message", ""))[:200]})


class ExpectsABody(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return super().outcome(response) if response.body[0] else Rejected()


class InventsAClass(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return Rejected("transient") if response.status == 418 else super().outcome(response)  # type: ignore[arg-type]


class BlamesThePerson(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return Rejected("permanent", "recipient") if response.status == 401 else super().outcome(response)


class IgnoresRetryAfter(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return Rejected("temporary", "throttled") if response.status == 429 else super().outcome(response)


class GivesUpOnTrouble(SoundProvider):
    def outcome(self, response: HttpResponse) -> Outcome:
        return Rejected("permanent", "message") if response.status == 503 else super().outcome(response)


class KeepsTheFirstKey(SoundProvider):
    def key(self, config: Config) -> str:
        return _FIRST.setdefault("key", str(config["api_key"]))


_FIRST: dict[str, str] = {}


class Counts(SoundProvider):
    def __init__(self) -> None:
        self.sent = 0

    def outcome(self, response: HttpResponse) -> Outcome:
        self.sent += 1
        return super().outcome(response)


class NamesNoCredential(SoundProvider):
    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if credentials.get("api_key") else [("credentials", "are incomplete")]


class SwallowsTrouble(SoundProvider):
    """Does its own sending, and calls it sent whatever happened."""

    request = outcome = None  # type: ignore[assignment]

    async def deliver(self, delivery: Delivery, config: Config) -> Outcome:
        try:
            return await config["send"](SoundProvider(), delivery, config)  # type: ignore[no-any-return]
        except Exception:
            return Accepted()


class BelievesEverybody(SoundProvider):
    def holds(self, signature: str, wanted: Sequence[str]) -> bool:
        return True


class BelievesTheOld(SoundProvider):
    def fresh(self, stamp: str, config: Config) -> None:
        return None


class KnowsOneSecret(SoundProvider):
    def secrets(self, config: Config) -> Sequence[str]:
        return super().secrets(config)[:1]


class TrustsTheShape(SoundProvider):
    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        return super().normalize_feedback(payload) if payload["to"].strip() else None


class TakesTheFirst(SoundProvider):
    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return super().parse_events(raw_body, headers)[:1]


class MistakesTheMessageForTheEvent(SoundProvider):
    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        return bodies.string(payload, "metadata", DELIVERY_KEY)


class TrustsTheBody(SoundProvider):
    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        events: Sequence[Mapping[str, Any]] = json.loads(raw_body)
        return events


BROKEN: Mapping[type[SoundProvider], str] = {
    CopiesHeaders: "test_no_secret_of_the_answer_is_kept",
    KeepsTheBody: "test_no_whole_body_is_kept",
    RepeatsWhatWasSaid: "test_no_personal_data_is_kept",
    ExpectsABody: "test_no_answer_makes_it_raise",
    InventsAClass: "test_it_speaks_the_words_of_the_contract",
    BlamesThePerson: "test_a_refused_login_is_not_the_persons_fault",
    IgnoresRetryAfter: "test_it_waits_as_long_as_it_is_told",
    GivesUpOnTrouble: "test_a_broken_server_never_refuses_for_good",
    KeepsTheFirstKey: "test_config_is_read_at_each_call",
    Counts: "test_nothing_is_remembered_and_nothing_is_changed",
    NamesNoCredential: "test_a_missing_credential_is_named",
    SwallowsTrouble: "test_trouble_on_the_wire_is_never_success",
    BelievesEverybody: "test_a_forged_call_is_refused",
    BelievesTheOld: "test_an_old_call_is_refused",
    KnowsOneSecret: "test_while_a_secret_is_rotated_both_hold",
    TrustsTheShape: "test_an_event_that_nobody_knows_is_no_error",
    TakesTheFirst: "test_of_a_batch_nothing_is_lost",
    MistakesTheMessageForTheEvent: "test_every_event_has_an_id_of_its_own_that_stays",
    TrustsTheBody: "test_a_body_that_is_none_is_said_to_be_none",
}


class _Acme:
    """What the suite is told of Acme."""

    credentials: ClassVar[Mapping[str, Any]] = {"api_key": "acme-key-12345678"}
    message: ClassVar[Message] = Sms("+15550100123", "The text, which nobody but Ann may read. " * 20)
    recipient: ClassVar[str] = "+15550100123"
    accepted: ClassVar[HttpResponse] = answer(201, {"id": "m1"})
    secrets: ClassVar[Mapping[str, Any]] = {"webhook_secret": "acme-hook-12345678"}
    batches: ClassVar[bool] = True
    payloads: ClassVar[Sequence[Mapping[str, Any]]] = [
        {
            "event_id": f"e{n}",
            "event": event,
            "to": "+15550100123",
            "at": 1893456000 + n,
            "metadata": {DELIVERY_KEY: "d1"},
        }
        for n, event in enumerate(("delivered", "undeliverable", "queued"))
    ]

    def webhook(
        self, events: Sequence[Mapping[str, Any]], secrets: Mapping[str, Any], at: datetime
    ) -> tuple[bytes, Mapping[str, str]]:
        body, stamp = json.dumps(events).encode(), str(int(at.timestamp()))
        return body, {"acme-time": stamp, "acme-signature": sign(body, stamp, secrets["webhook_secret"])}


class _Suite(_Acme, HttpProviderContract, FeedbackContract):
    """The suite as a stranger writes it down."""


class _OwnSender(_Acme, ProviderContract, FeedbackContract):
    """For a provider that sends by itself: the wire comes in with its config."""

    async def observe(self, provider: Any, delivery: Delivery, config: Mapping[str, Any], told: Any) -> tuple[Any, str]:
        sound = SoundProvider()

        async def send(*_: Any) -> Outcome:
            if isinstance(told, Trouble):
                raise ConnectionError(told.how)
            return sound.outcome(told)

        spoken = readable(sound.request(delivery, config))
        return await provider.deliver(delivery, {**config, "send": send}), spoken


def suite_of(broken: type[SoundProvider]) -> type[ProviderContract]:
    """The test class of one of these providers, for pytest to collect."""
    base = _OwnSender if hasattr(broken, "deliver") else _Suite
    return type(f"Test{broken.__name__}", (base,), {"provider": broken, "__module__": __name__})
