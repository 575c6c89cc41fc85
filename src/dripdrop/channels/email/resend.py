"""How does Resend take an e-mail, and what does it tell us later?

Sending: https://resend.com/docs/api-reference/emails/send-email, errors https://resend.com/docs/api-reference/errors.
Events: https://resend.com/docs/webhooks/event-types, signed by Svix: https://docs.svix.com/receiving/verifying-payloads/how-manual.
In doubt: https://resend.com/docs/dashboard/emails/idempotency-keys (a key is remembered for 24 hours).
Mail that comes in is told without its text (https://resend.com/docs/webhooks/emails/received): that is fetched from
https://resend.com/docs/api-reference/emails/retrieve-received-email by whoever wants it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from mimetypes import MimeTypes
from typing import Any

import orjson

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email import bounces
from dripdrop.channels.email.inbound import bare
from dripdrop.channels.email.mail import Mail, add_options, base64_of, mailbox, unsupported
from dripdrop.channels.email.provider import EmailProvider, base_url, event_key
from dripdrop.channels.webhook import secret_bytes, sign
from dripdrop.contracts import DELIVERY_KEY, Config, HttpRequest, HttpResponse
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.message import Attachment
from dripdrop.rules.outcome import Idempotent, Outcome, Rejected, Unknown

_API = "https://api.resend.com"
_RECIPIENTS = ("to", "cc", "bcc", "from", "reply_to", "replyTo", "scheduled_at", "headers", "tags", "attachments")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST_TAGS = 75
_ID = "svix-id"
_UNSAID = "application/octet-stream"
_TYPES = MimeTypes()  # the standard library's own table, equal on every machine

# Error names that concern the account; a key that was seen before, or is being seen now, is a doubt.
_ADAPTER = frozenset(("invalid_from_address", "invalid_region", "invalid_access", "not_found", "method_not_allowed"))
_QUOTA = frozenset(("rate_limit_exceeded", "daily_quota_exceeded", "monthly_quota_exceeded"))
_SEEN = frozenset(("invalid_idempotent_request", "concurrent_idempotent_requests"))

_EVENTS: Mapping[str, tuple[Status, Severity | None]] = {
    "email.scheduled": ("accepted", None),
    "email.sent": ("accepted", None),
    "email.delivered": ("delivered", None),
    "email.delivery_delayed": ("deferred", "temporary"),
    "email.suppressed": ("bounced", "permanent"),
    "email.failed": ("rejected", None),
    "email.complained": ("complained", None),
    "email.opened": ("opened", None),
    "email.clicked": ("clicked", None),
}
# Why an address came onto Resend's own list; an address that is taken off it may be written to again.
_ORIGINS: Mapping[str, tuple[Status, Severity | None]] = {
    "bounce": ("bounced", "permanent"),
    "complaint": ("complained", None),
    "manual": ("unsubscribed", None),
}
_REMOVED: tuple[Status, Severity | None] = ("resubscribed", None)
_TOPICS = "contact.topics.updated"
_CHOICES: Mapping[str, Status] = {"opt_out": "unsubscribed", "opt_in": "resubscribed"}


class ResendProvider(EmailProvider):
    """Resend's e-mail API.

    Credentials: `api_key`; for webhooks `webhook_secret` (whsec_..., a text or, while rotating, a list). Config:
    `base_url`, `from`, `tags` (one: sent as Resend's tag of the name `tag`), `metadata` (Resend's tags: letters,
    digits, _ and -), `provider_options` (such as topic_id).
    """

    name = "resend"
    lacks = frozenset(("several_tags",))
    on_doubt = Idempotent(timedelta(hours=24))

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        headers = (
            *_headers(config),
            ("content-type", "application/json"),
            ("idempotency-key", mail.key),
        )
        return HttpRequest("POST", f"{base_url(config, _API)}/emails", headers, orjson.dumps(_payload(mail)))

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return string(answer, "id")

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        """Where nothing is sure the key is used again: so a broken server is a doubt, and so is a key it has seen."""
        name, said = string(answer, "name") or "", string(answer, "message") or ""
        detail = {"status": response.status, "error": saying(name), "said": saying(said)}
        if response.status >= 500 or name in _SEEN:
            return Unknown({"reason": "key_seen" if name in _SEEN else "server", **detail})
        if name in _QUOTA:
            return Rejected("temporary", "throttled", retry_after(response), detail)
        if name in _ADAPTER or "`from`" in said:
            return Rejected("temporary", "adapter", None, detail)
        if response.status == 422 and any(f"`{field}`" in said for field in ("to", "cc", "bcc")):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{base_url(config, _API)}/domains", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        """A key that may only send is refused here by that name, and is well."""
        answer = json_of(response)
        if response.status == 200 or string(answer, "name") == "restricted_api_key":
            return None
        return f"Resend answered {response.status}: {saying(string(answer, 'message') or '')}"

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """HMAC over id, time and the body's very bytes; of several signatures one has to hold."""
        keys = [secret_bytes(each.strip()) for each in callers.secrets(config, "webhook_secret")]
        identifier, stamp = callers.header(headers, _ID), callers.header(headers, "svix-timestamp")
        wanted = sign(identifier, stamp, raw_body, keys).split()
        if not any(callers.any_same(each, wanted) for each in callers.header(headers, "svix-signature").split()):
            callers.refuse("The signature does not hold.")
        callers.fresh(stamp, config)

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """One payload for each topic that somebody left or joined, and else one."""
        event = {**bodies.json_object(raw_body), _ID: headers.get(_ID)}
        topics = child(event, "data", "topics") if string(event, "type") == _TOPICS else None
        several = [{**event, "topic": each} for each in topics] if isinstance(topics, list) else []
        return several or [event]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        """Svix gives each event an id, which stays when it is sent again; the body has none."""
        told = (payload.get("type"), payload.get("created_at"), string(payload, "data", "email_id"))
        key, topic = string(payload, _ID) or event_key(*told), string(payload, "topic", "id")
        return f"{key}|{topic}" if topic else key

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        if (string(payload, "type") or "").startswith(("email.received", "inbox.")):
            return None  # people's mail, not ours
        whose = {
            "delivery_id": _tags(payload).get(DELIVERY_KEY),
            "provider_message_id": string(payload, "data", "email_id") or string(payload, "data", "source_id"),
        }
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        event = string(payload, "type") or ""
        told = child(payload, "data")
        kind, sub_kind = string(told, "bounce", "type"), string(told, "bounce", "subType") or ""
        if event in ("contact.created", "contact.updated"):
            gone = child(told, "unsubscribed") is True
            return _feedback(payload, "unsubscribed", None, string(told, "email")) if gone else None
        if event == _TOPICS:
            if not string(payload, "topic", "id"):
                return None  # it would be about all of them
            chosen = _CHOICES.get(string(payload, "topic", "subscription") or "")
            return _feedback(payload, chosen, None, string(told, "email")) if chosen else None
        if event in ("suppression.added", "suppression.removed"):
            added = _ORIGINS.get(string(told, "origin") or "") if event == "suppression.added" else _REMOVED
            return _feedback(payload, *added, string(told, "email")) if added else None
        if event == "email.bounced":
            # A bounce without a type is of the time when the page spoke of permanent ones only.
            return _feedback(payload, *bounces.meaning(kind or "Permanent", sub_kind), _only(told))
        status, severity = _EVENTS.get(event, (None, None))
        return _feedback(payload, status, severity, _only(told)) if status is not None else None

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        if string(payload, "type") != "email.received":
            return []
        told = child(payload, "data")
        return [
            InboundMessage(
                sender=bare(string(told, "from")),
                to=bare(_first(child(told, "to"))),
                received_at=moment(child(told, "created_at")) or moment(payload.get("created_at")),
                message_id=next(iter(bodies.message_ids(string(told, "message_id"))), None),
                subject=string(told, "subject"),
                provider_message_id=string(told, "email_id"),
            )
        ]


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {config['api_key']}"), ("accept", "application/json"))


def _payload(mail: Mail) -> dict[str, Any]:
    ours = (("Message-ID", f"<{mail.message_id}>"),) if mail.message_id else ()
    payload: dict[str, Any] = {
        "from": mailbox(mail.sender),
        "to": [mailbox(each) for each in mail.to],
        "cc": [mailbox(each) for each in mail.cc],
        "bcc": [mailbox(each) for each in mail.bcc],
        "reply_to": [mailbox(each) for each in mail.reply_to],
        "subject": mail.subject,
        "text": mail.text or "",
        "html": mail.html,
        "headers": dict((*mail.headers, *ours)),
        "attachments": [_file(each) for each in (*mail.attachments, *mail.inline)],
        "tags": _labels(mail),
    }
    said = {name: value for name, value in payload.items() if value or name in ("subject", "text")}
    return add_options(said, mail.options, _RECIPIENTS)


def _labels(mail: Mail) -> list[dict[str, str]]:
    pairs = [*((("tag", mail.tags[0]),) if mail.tags else ()), *mail.metadata.items()]
    if len(pairs) > _MOST_TAGS or len({name for name, _ in pairs}) < len(pairs):
        unsupported("metadata")
    for place, (name, value) in enumerate(pairs):
        if not _TAG.fullmatch(name) or not _TAG.fullmatch(value):
            unsupported("tags" if mail.tags and place == 0 else "metadata")
    return [{"name": name, "value": value} for name, value in pairs]


def _file(attachment: Attachment) -> dict[str, str]:
    """Resend loses a message whose file has a name that does not fit its type: so such a one is refused.

    https://anymail.dev/en/stable/esps/resend/#limitations-and-quirks
    """
    known, _ = _TYPES.guess_type(attachment.filename)
    kind = attachment.content_type.partition(";")[0].strip().lower()
    if not attachment.filename or (known is not None and kind not in (known, _UNSAID)):
        unsupported("attachments")
    said = {"content": base64_of(attachment), "filename": attachment.filename}
    if kind != _UNSAID or known is None:
        said["content_type"] = attachment.content_type
    return said | ({"content_id": attachment.content_id} if attachment.content_id else {})


def _tags(payload: Mapping[str, Any]) -> dict[str, str]:
    """Tags come back as an object, or in the shape in which they were sent."""
    told = child(payload, "data", "tags")
    if isinstance(told, list):
        return {string(each, "name") or "": string(each, "value") or "" for each in told}
    return {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}


def _first(several: Any) -> str:
    return str(several[0]) if isinstance(several, list) and several else ""


def _only(told: Any) -> str | None:
    """The recipient, where there is one only: of several, an event does not say which."""
    lists = [found for name in ("to", "cc", "bcc") if isinstance(found := child(told, name), list)]
    several = [each for found in lists for each in found if isinstance(each, str)]
    return (bare(several[0]) or None) if len(several) == 1 else None


def _feedback(payload: Mapping[str, Any], status: Status, severity: Severity | None, who: str | None) -> Feedback:
    told = child(payload, "data")
    parts = (child(told, part) for part in ("bounce", "suppressed", "failed"))
    said = (string(told, "origin"), *(string(part, name) for part in parts for name in ("type", "subType", "reason")))
    seen = child(told, "click") or child(told, "open")
    return Feedback(
        status,
        who,
        moment(payload.get("created_at")),
        severity,
        event=string(payload, "type") or "",
        reason=saying(" ".join(each for each in said if each)),
        topic=string(payload, "topic", "id"),
        user_agent=string(seen, "userAgent"),
        ip=string(seen, "ipAddress"),
        url=string(seen, "link"),
    )
