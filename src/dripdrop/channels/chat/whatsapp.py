"""How does the WhatsApp Cloud API take a message, and what does it tell us later?

Sending: https://developers.facebook.com/documentation/business-messaging/whatsapp/reference/whatsapp-business-phone-number/message-api.
Errors: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes. Webhooks:
https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status and its
neighbours; of people who hide their number behind a username:
https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids; signatures and the
handshake: https://developers.facebook.com/docs/graph-api/webhooks/getting-started.
In doubt: there is no key and no way to look a message up; but each status carries our id (`biz_opaque_callback_data`),
so a message that WhatsApp has makes itself known.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from dripdrop.channels import bodies, callers, given
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.provider import base_url, event_key
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse, WebhookRequest
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.message import Chat
from dripdrop.rules.outcome import Accepted, Cause, Kind, Neither, Outcome, Rejected, Unknown

_API = "https://graph.facebook.com"
_VERSION = "v23.0"
_CONTENTS = (
    "template", "image", "document", "video", "audio", "sticker", "location", "contacts", "interactive", "reaction",
)  # fmt: skip
_BESIDE = ("preview_url", "context", "message_activity_sharing", "type")

_REFUSALS: Mapping[tuple[Kind, Cause], tuple[int, ...]] = {
    ("permanent", "opted_out"): (131050,),
    ("permanent", "recipient"): (131021, 131026, 131062),
    ("permanent", "policy"): (130403, 130472, 130497, 131047, 131049),
    ("temporary", "throttled"): (4, 80007, 130429, 131048, 131056, 131057, 131064, 133016),
    ("temporary", "adapter"): (
        0, 3, 10, 33, 190, 200, 368, 131005, 131030, 131031, 131037, 131042, 131045, 133000, 133004, 133005, 133006,
        133008, 133009, 133010, 133015, 134011,
    ),
    ("temporary", "message"): (1, 2, 131016),
    ("permanent", "message"): (
        100, 131008, 131009, 131051, 131052, 131053, 131063, 132000, 132001, 132005, 132007, 132012, 132015, 132016,
        132068, 132069, 135000,
    ),
}  # fmt: skip
_REFUSED = {code: outcome for outcome, codes in _REFUSALS.items() for code in codes}
_IN_DOUBT = 131000  # "Something went wrong": of the message nothing is said

_STATUSES: Mapping[str, Status] = {
    "accepted": "accepted",
    "held_for_quality_assessment": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "read": "opened",
    "played": "opened",
}
_FAILURES: Mapping[Cause, tuple[Status, Severity | None]] = {
    "opted_out": ("unsubscribed", None),
    "recipient": ("bounced", "temporary"),
    "policy": ("blocked", None),
}
# What people do to messages that are there already, and what WhatsApp itself tells: none of it is an answer.
_ACTS = frozenset(("reaction", "edit", "revoke", "pin", "keep_in_chat", "system"))
_WISHES: Mapping[str, Status] = {"stop": "unsubscribed", "resume": "resubscribed"}


class WhatsAppProvider:
    """The Cloud API: text, or one of template, image, document, video, audio, location, interactive and so on.

    Credentials: `access_token` (or a `token_source`), `phone_number_id`; for webhooks `app_secret` (a list while it is
    rotated) and `verify_token`. Config: `api_version` (v23.0), `preview_url`, `base_url`.
    """

    channel = "whatsapp"
    name = "cloud_api"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `phone_number`, `unsupported`."""
        message = given.message_of(delivery, Chat)
        body = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": given.number("whatsapp", message.to or ""),
            **_content(message, config),
            "biz_opaque_callback_data": str(delivery.id),
        }
        headers = (_authorization(config), ("content-type", "application/json"))
        return HttpRequest("POST", f"{_phone(config)}/messages", headers, given.json_bytes(body))

    def outcome(self, response: HttpResponse) -> Outcome:
        answer = json_of(response)
        if 200 <= response.status < 300:
            first = _first(answer.get("messages"))
            named, state = string(first, "id"), saying(string(first, "message_status") or "")
            meta = {"status": response.status, **({"state": state} if state else {})}
            return Accepted(named, meta) if named else Unknown({"reason": "no_id", "status": response.status})
        error = child(answer, "error")
        code = child(error, "code")
        code = code if isinstance(code, int) and not isinstance(code, bool) else None
        told = string(error, "error_data", "details") or string(error, "message") or ""
        detail = {"status": response.status, "code": code, "said": saying(told)}
        if code == _IN_DOUBT:
            return Unknown({"reason": "server", **detail})
        found = by_status(response, detail)
        if code not in _REFUSED or isinstance(found, Unknown):
            return found
        kind, cause = _REFUSED[code]
        return Rejected(kind, cause, retry_after(response), detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = given.missing(credentials, "phone_number_id")
        if not given.secret(credentials, "token_source"):
            problems += given.missing(credentials, "access_token")
        number = given.secret(credentials, "phone_number_id")
        if number and not number.isdigit():
            problems.append(("phone_number_id", "is the number's id, all digits, not the number itself"))
        return problems

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{_phone(config)}?fields=verified_name,quality_rating", (_authorization(config),))

    def checked(self, response: HttpResponse) -> str | None:
        if response.status == 200:
            return None
        return f"WhatsApp answered {response.status}: {saying(string(json_of(response), 'error', 'message') or '')}"

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""), ("GET", ""))

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        secrets = callers.secrets(config, "app_secret")
        signature = callers.header(headers, "X-Hub-Signature-256")
        wanted = [f"sha256={hmac.digest(each.encode(), raw_body, 'sha256').hex()}" for each in secrets]
        if not callers.any_same(signature, wanted):
            callers.refuse("The signature does not hold.", "Check app_secret against the app's.")

    def handshake(self, request: WebhookRequest, config: Config) -> HttpResponse | None:
        """Meta asks once whether this address is ours: who knows `verify_token` gets the challenge back."""
        if request.method != "GET":
            return None
        said = {name: values[-1] for name, values in parse_qs(urlsplit(request.url).query).items()}
        wanted = callers.secrets(config, "verify_token")
        if said.get("hub.mode") != "subscribe" or not callers.any_same(said.get("hub.verify_token", ""), wanted):
            callers.refuse("The verify token is wrong.", "Check verify_token against the one given to Meta.")
        return HttpResponse(200, {"content-type": "text/plain"}, said.get("hub.challenge", "").encode())

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """One payload for each status, message and wish; `kind` says which, `number` whose."""
        said = bodies.json_object(raw_body)
        if not isinstance(said.get("entry"), list):
            bodies.unparseable("a notification of WhatsApp")
        return list(_events(said["entry"]))

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        kind, event = payload.get("kind"), child(payload, "event")
        stamp, named = string(event, "timestamp"), string(event, "id")
        if kind == "messages":
            return event_key("inbound", named)
        whose = named or string(event, "wa_id") or string(event, "user_id")
        return event_key(string(event, "status") or string(event, "value"), whose, stamp)

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        if payload.get("kind") != "statuses":
            return None
        event = child(payload, "event")
        whose = {"delivery_id": string(event, "biz_opaque_callback_data"), "provider_message_id": string(event, "id")}
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        kind, event = payload.get("kind"), child(payload, "event")
        at = moment(child(event, "timestamp"))
        if kind == "user_preferences":
            wish = string(event, "value") or ""
            status = _WISHES.get(wish)
            return Feedback(status, _person(event, "wa_id", "user_id"), at, event=wish) if status else None
        if kind != "statuses":
            return None
        word, code = string(event, "status") or "", string(_first(child(event, "errors")), "code") or ""
        status, severity = _STATUSES.get(word), None
        if word == "failed":
            status, severity = _failure(code)
        if status is None:
            return None
        group = string(event, "recipient_type") == "group"
        to = _number(string(event, "recipient_participant_id" if group else "recipient_id"))
        return Feedback(status, to, at, severity, event=word, reason=code[:20])

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        """What a person wrote or pressed; in a group only what quotes a message of ours."""
        event = child(payload, "event")
        sender, quoted = _person(event, "from", "from_user_id"), string(event, "context", "id")
        kind = string(event, "unsupported", "type") or string(event, "type")
        if payload.get("kind") != "messages" or sender is None or kind in _ACTS:
            return []
        if string(event, "group_id") and quoted is None:
            return []
        return [
            InboundMessage(
                sender=sender,
                to=_number(string(payload, "number")) or "",
                text=_text(event),
                received_at=moment(child(event, "timestamp")),
                provider_message_id=string(event, "id"),
                replies_to=quoted,
            )
        ]


def _authorization(config: Config) -> tuple[str, str]:
    return ("authorization", f"Bearer {config.get('token') or given.secret(config, 'access_token')}")


def _phone(config: Config) -> str:
    version = str(config.get("api_version") or _VERSION)
    number = quote(given.secret(config, "phone_number_id"), safe="")
    return f"{base_url(config, _API)}/{quote(version, safe='')}/{number}"


def _content(message: Chat, config: Config) -> dict[str, Any]:
    """The one thing a message is: what its fields name, else its text."""
    extra = given.only(message.extra, (*_CONTENTS, *_BESIDE))
    contents = [name for name in _CONTENTS if name in extra]
    if len(contents) > 1:
        given.unsupported(contents[1])
    beside = {"context": extra["context"]} if "context" in extra else {}
    if not contents:
        text = {"body": message.text, "preview_url": bool(extra.get("preview_url", config.get("preview_url")))}
        return {"type": "text", "text": text, **beside}
    (kind,) = contents
    content = extra[kind]
    if message.text:
        if kind not in ("image", "document", "video") or not isinstance(content, Mapping):
            given.unsupported("text")
        content = {"caption": message.text, **content}
    return {"type": kind, kind: content, **beside}


def _events(entries: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for change in (each for entry in entries for each in _list(child(entry, "changes"))):
        value = child(change, "value")
        ours = string(value, "metadata", "display_phone_number")
        for kind in ("statuses", "messages", "user_preferences"):
            for event in _list(child(value, kind)):
                if isinstance(event, Mapping):
                    yield {"kind": kind, "number": ours, "event": event}


def _failure(code: str) -> tuple[Status, Severity | None]:
    known = _REFUSED.get(int(code)) if code.isascii() and code.isdigit() else None
    return _FAILURES.get(known[1], ("failed", None)) if known else ("failed", None)


def _text(event: Any) -> str:
    kind = string(event, "type") or ""
    inner = child(event, kind)
    places = (("body",), ("text",), ("caption",), ("button_reply", "title"), ("list_reply", "title"))
    return next((found for place in places if (found := string(inner, *place))), "")


def _person(event: Any, number: str, user_id: str) -> str | None:
    """A person's number; of who hides it behind a username, the id that they have with this business (US.1349...)."""
    return _number(string(event, number)) or string(event, user_id)


def _number(text: str | None) -> str | None:
    """A WhatsApp id is a number without its plus."""
    return f"+{text.lstrip('+')}" if text else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None
