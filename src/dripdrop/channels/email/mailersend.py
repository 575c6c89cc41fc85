"""How does MailerSend take an e-mail, and what does it tell us later?

Sending: https://developers.mailersend.com/api/v1/email.html, statuses https://developers.mailersend.com/general.html.
Events, how they are signed, and the ping: https://developers.mailersend.com/api/v1/account/webhooks.html.
Replies: https://developers.mailersend.com/api/v1/inbound.html.
In doubt nothing can be done: the sending page knows no key, and a message is found by MailerSend's own id only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.inbound import from_headers
from dripdrop.channels.email.mail import Mail, add_options, base64_of, unsupported
from dripdrop.channels.email.provider import EmailProvider, base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, HttpRequest, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.message import Address, Attachment
from dripdrop.rules.outcome import Neither, Outcome, Rejected

_API = "https://api.mailersend.com/v1"
_INBOUND = "inbound.message"
_RECIPIENTS = ("to", "cc", "bcc", "from", "reply_to", "personalization", "send_at", "headers", "attachments")
_OUR_TAG = f"{DELIVERY_KEY}:"
_MOST_TAGS, _LONGEST_TAG = 5, 191
_BULK = frozenset(("bulk", "junk", "list"))
_PING = "webhook.test"
# Stands on the page for everybody to read, so it is good for a ping and for nothing else.
_PING_SECRET = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G"
_TRIAL = "#MS42225"
_MAINTENANCE = 421

_EVENTS: Mapping[str, tuple[Status, Severity | None]] = {
    "sent": ("sent", None),
    "delivered": ("delivered", None),
    "deferred": ("deferred", "temporary"),
    "soft_bounced": ("bounced", "temporary"),
    "hard_bounced": ("bounced", "permanent"),
    "opened": ("opened", None),
    "opened_unique": ("opened", None),
    "clicked": ("clicked", None),
    "clicked_unique": ("clicked", None),
    "unsubscribed": ("unsubscribed", None),
    "spam_complaint": ("complained", None),
    "suppressed": ("rejected", None),
}
# Where an event in the flat shape says why.
_REASONS = ("bounce_reason", "reject_reason", "suppression_reason", "unsubscribe_reason")
# What a bounce is about that MailerSend made itself, since the address was on one of its lists.
_LISTS: Mapping[str, Status] = {"spam_complaint": "complained", "recipient_unsubscribe": "unsubscribed"}


class MailerSendProvider(EmailProvider):
    """MailerSend's e-mail API.

    Credentials: `api_key` (the API token); for webhooks `webhook_secret` and, for inbound routes, `inbound_secret`
    (each a text or, while rotating, a list). Config: `base_url`, `from`, `tags` (four: our id travels as the fifth),
    `provider_options` (such as settings). Custom headers need a plan that has them. It writes a Message-ID of its own,
    so a reply is matched by the address that it is sent to.
    """

    name = "mailersend"
    lacks = frozenset(("several_reply_to", "metadata"))
    on_doubt = Neither()

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        headers = (*_headers(config), ("content-type", "application/json"))
        return HttpRequest("POST", f"{base_url(config, _API)}/email", headers, orjson.dumps(_payload(mail)))

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return response.headers.get("x-message-id") or None

    def outcome(self, response: HttpResponse) -> Outcome:
        """What goes to nobody, since all are on its lists, is answered with 202 too."""
        warnings = json_of(response).get("warnings")
        for each in warnings if response.status == 202 and isinstance(warnings, list) else ():
            if string(each, "type") == "ALL_SUPPRESSED":
                return _suppressed(each)
        return super().outcome(response)

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        errors = answer.get("errors")
        field = str(next(iter(errors), "")) if isinstance(errors, dict) else ""
        told = string(answer, "message") or ""
        detail = {"status": response.status, "field": saying(field), "said": saying(told)}
        if response.status == _MAINTENANCE:
            return Rejected("temporary", "throttled", retry_after(response), detail)
        if response.status == 422 and (field.startswith("from") or _TRIAL in told):
            return Rejected("temporary", "adapter", None, detail)
        if response.status == 422 and field.partition(".")[0] in ("to", "cc", "bcc"):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{base_url(config, _API)}/api-quota", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        if response.status == 200:
            return None
        return f"MailerSend answered {response.status}: {saying(string(json_of(response), 'message') or '')}"

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """HMAC over the body's very bytes; a time is not signed.

        Before a webhook has a secret of its own its address is pinged, and is only taken if that is answered.
        """
        keys = (_PING_SECRET,) if _pings(raw_body) else callers.secrets(config, "webhook_secret", "inbound_secret")
        wanted = [hmac.new(key.encode(), raw_body, hashlib.sha256).hexdigest() for key in keys]
        if not callers.any_same(callers.header(headers, "Signature").lower(), wanted):
            callers.refuse("The signature does not hold.")

    def handshake(self, request: WebhookRequest, config: Config) -> HttpResponse | None:
        """A ping tells nothing, so it is answered and not kept."""
        return HttpResponse(200) if _pings(request.body) else None

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return [bodies.json_object(raw_body)]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        which = string(payload, "data", "id")
        return event_key(payload.get("type"), which or payload.get("created_at"))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        told = child(payload, "data")
        tags = child(told, "email", "tags") or child(told, "tags")
        ours = [str(each) for each in (tags if isinstance(tags, list) else ()) if str(each).startswith(_OUR_TAG)]
        whose = {
            "delivery_id": ours[0].removeprefix(_OUR_TAG) if ours else None,
            "provider_message_id": string(told, "email", "message", "id") or string(told, "message_id"),
        }
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        """In either shape: the older nests the e-mail and a `morph`, the newer is flat and has `meta`."""
        told, event = child(payload, "data"), string(payload, "type") or ""
        status, severity = _EVENTS.get(event.removeprefix("activity."), (None, None))
        if status is None or not event.startswith("activity."):
            return None
        about, meta = child(told, "morph"), child(told, "meta")
        listed = _LISTS.get(string(about, "object") or "") if status == "bounced" else None
        return Feedback(
            listed or status,
            _recipient(told),
            moment(child(told, "created_at")) or moment(payload.get("created_at")),
            None if listed else severity,
            event=event,
            reason=saying(next((why for why in (string(about, "reason"), *_said(meta)) if why), "")),
            user_agent=string(meta, "user_agent"),
            ip=string(about, "ip") or string(meta, "ip"),
            url=string(about, "url") or string(meta, "url"),
        )

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        return [_message(child(payload, "data"))] if string(payload, "type") == _INBOUND else []


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {config['api_key']}"), ("accept", "application/json"))


def _payload(mail: Mail) -> dict[str, Any]:
    own = {name.lower(): value for name, value in mail.headers}
    precedence = own.get("precedence")
    payload: dict[str, Any] = {
        "from": _person(mail.sender),
        "to": [_person(each) for each in mail.to],
        "cc": [_person(each) for each in mail.cc],
        "bcc": [_person(each) for each in mail.bcc],
        "reply_to": _person(mail.reply_to[0]) if mail.reply_to else None,
        "subject": mail.subject,
        "text": mail.text or "",
        "html": mail.html,
        "in_reply_to": own.get("in-reply-to"),
        "headers": [
            {"name": name, "value": value}
            for name, value in mail.headers
            if name.lower() not in ("in-reply-to", "precedence")
        ],
        "attachments": [_file(each) for each in (*mail.attachments, *mail.inline)],
        "tags": _tags(mail),
    }
    said = {name: value for name, value in payload.items() if value or name in ("subject", "text")}
    if precedence is not None:
        said["precedence_bulk"] = precedence.lower() in _BULK
    return add_options(said, mail.options, _RECIPIENTS)


def _tags(mail: Mail) -> list[str]:
    tags = [*mail.tags, f"{_OUR_TAG}{mail.id}"]
    if len(tags) > _MOST_TAGS:
        unsupported("several_tags")
    if any(len(each) > _LONGEST_TAG for each in tags):
        unsupported("tags")
    return tags


def _person(address: Address) -> dict[str, str]:
    return {"email": address.email} | ({"name": address.name} if address.name else {})


def _file(attachment: Attachment) -> dict[str, str]:
    """The type of a file is told by its name only, so it must have one."""
    if not attachment.filename:
        unsupported("attachments")
    said = {"filename": attachment.filename, "content": base64_of(attachment), "disposition": "attachment"}
    return said | ({"disposition": "inline", "id": attachment.content_id} if attachment.content_id else {})


def _suppressed(warning: Any) -> Rejected:
    several = child(warning, "recipients")
    first = several[0] if isinstance(several, list) and several else None
    reasons = child(first, "reasons") or child(first, "reason")
    why = sorted({str(each).replace("_", "") for each in (reasons if isinstance(reasons, list) else ())})
    detail = {"status": 202, "reason": "suppressed", "why": " ".join(why)[:100]}
    if "hardbounced" in why:
        return Rejected("bounced", "recipient", None, detail)
    if {"unsubscribed", "spamcomplaint", "spamcomplained"} & set(why):
        return Rejected("permanent", "opted_out", None, detail)
    return Rejected("permanent", "recipient", None, detail)


def _pings(raw_body: bytes) -> bool:
    try:
        return bodies.json_object(raw_body).get("type") == _PING
    except Invalid:
        return False


def _recipient(told: Any) -> str | None:
    nested = string(told, "email", "recipient", "email")
    return nested or string(told, "email") or string(told, "recipient")


def _said(meta: Any) -> Iterator[str | None]:
    return (string(meta, name) for name in _REASONS)


def _message(told: Any) -> InboundMessage:
    written = child(told, "headers")
    pairs = tuple(
        (str(name), str(each))
        for name, value in (written.items() if isinstance(written, dict) else ())
        for each in (value if isinstance(value, list) else [value])
    )
    given, raw = child(told, "recipients", "rcptTo"), child(told, "raw")
    return from_headers(
        pairs,
        sender=string(told, "from", "email"),
        to=string(given[0] if isinstance(given, list) and given else None, "email"),
        received_at=moment(child(told, "created_at")),
        subject=string(told, "subject"),
        text=string(told, "text"),
        html=string(told, "html"),
        provider_message_id=string(told, "id"),
        raw=raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else None,
    )
