"""How does SendGrid take an e-mail, and what does it tell us later?

Sending: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send.
Events: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event, signed as in
.../for-developers/tracking-events/getting-started-event-webhook-security-features.
Replies: https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook, signed
as in .../for-developers/parsing-email/securing-your-parse-webhooks.
In doubt nothing can be done: mail/send knows no idempotency key, and the Email Activity API, which could be asked, is
an extra that most accounts have not (.../sending-email/getting-started-email-activity-api).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import moment, string
from dripdrop.channels.email.inbound import bare, from_headers, header_block
from dripdrop.channels.email.mail import Mail, add_options, base64_of
from dripdrop.channels.email.provider import KeepsOurId, base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, HttpRequest, HttpResponse
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.message import Address, Attachment
from dripdrop.rules.outcome import Neither, Outcome, Rejected

_API = "https://api.sendgrid.com"
_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
_RECIPIENTS = ("personalizations", "from", "reply_to", "reply_to_list")
_INBOUND = "inbound"
_POINT = 65  # octets of an uncompressed point of P-256
_SUFFIX = re.compile(r"\.(?:[a-z0-9]*filter|recvd)")
_ARMOUR = re.compile(r"-----[A-Z ]+-----|\s")

_EVENTS: Mapping[str, tuple[Status, Severity | None]] = {
    "processed": ("accepted", None),
    "delivered": ("delivered", None),
    "deferred": ("deferred", "temporary"),
    "bounce": ("bounced", "permanent"),
    "blocked": ("blocked", None),
    "dropped": ("rejected", None),
    "spamreport": ("complained", None),
    "unsubscribe": ("unsubscribed", None),
    "group_unsubscribe": ("unsubscribed", None),
    "group_resubscribe": ("resubscribed", None),
    "open": ("opened", None),
    "click": ("clicked", None),
}
# Why a message was not even tried, where that says something of the address.
_DROPS: Mapping[str, tuple[Status, Severity | None]] = {
    "bounced address": ("bounced", "permanent"),
    "invalid": ("bounced", "permanent"),
    "invalid address": ("bounced", "permanent"),
    "unsubscribed address": ("unsubscribed", None),
    "spam reporting address": ("complained", None),
}


class SendGridProvider(KeepsOurId):
    """SendGrid's v3 mail/send.

    Credentials: `api_key`; for webhooks `webhook_public_key` (as the console shows it, a PEM, or a raw point; a text
    or, while rotating, a list). Config: `base_url` (https://api.eu.sendgrid.com in the EU), `from`, `tags` (SendGrid's
    categories), `metadata`, `provider_options` (such as asm or tracking_settings).
    """

    name = "sendgrid"
    on_doubt = Neither()

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        headers = (*_headers(config), ("content-type", "application/json"))
        return HttpRequest("POST", f"{base_url(config, _API)}/v3/mail/send", headers, orjson.dumps(_payload(mail)))

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return response.headers.get("x-message-id") or None

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        errors = answer.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else {}
        field = string(first, "field") or ""
        detail = {"status": response.status, "field": field, "said": saying(string(first, "message") or "")}
        if response.status == 429:
            return Rejected("temporary", "throttled", retry_after(response) or _until_reset(response), detail)
        if response.status == 400 and field.startswith("from"):
            return Rejected("temporary", "adapter", None, detail)
        if response.status == 400 and re.match(r"personalizations\.\d+\.(to|cc|bcc)\b", field):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{base_url(config, _API)}/v3/scopes", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        if response.status != 200:
            return f"SendGrid answered {response.status}."
        allowed = json_of(response).get("scopes")
        return None if isinstance(allowed, list) and "mail.send" in allowed else "The API key may not send mail."

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """ECDSA over the timestamp and the body's very bytes, for events and for inbound mail alike."""
        keys = callers.secrets(config, "webhook_public_key")
        signature = callers.unbase64(callers.header(headers, _SIGNATURE))
        stamp = callers.header(headers, _TIMESTAMP)
        signed = stamp.encode("utf-8", "replace") + raw_body
        holds = [_holds(key, signature, signed) for key in keys]
        if not any(holds):
            callers.refuse("The signature does not hold.", "Check webhook_public_key against the verification key.")
        callers.fresh(stamp, config)

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        if bodies.content_type(headers) == "multipart/form-data":
            return [_form(bodies.form(raw_body, headers))]
        return bodies.json_objects(raw_body)

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        if _INBOUND in payload:
            return event_key(_INBOUND, _message(payload).message_id or string(payload, "digest"))
        told = ("event", "email", "timestamp", "smtp-id")
        return string(payload, "sg_event_id") or event_key(*(payload.get(name) for name in told))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        """`sg_message_id` is the id that sending gave, with a suffix; a late bounce has only `smtp-id`."""
        ours = string(payload, DELIVERY_KEY) or string(payload, "unique_args", DELIVERY_KEY)
        theirs = _sent_id(string(payload, "sg_message_id") or "") or (string(payload, "smtp-id") or "").strip("<>")
        whose = {"delivery_id": ours, "provider_message_id": theirs}
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        event = string(payload, "event") or ""
        reason = string(payload, "reason") or (string(payload, "response") if event == "deferred" else None) or ""
        status, severity = _EVENTS.get(_kind(payload, event), (None, None))
        if status is None:
            return None
        if event == "dropped":
            status, severity = _DROPS.get(reason.lower(), (status, severity))
        return Feedback(
            status,
            string(payload, "email"),
            moment(payload.get("timestamp")),
            severity,
            event=event,
            reason=string(payload, "status") or string(payload, "bounce_classification") or saying(reason),
            topic=string(payload, "asm_group_id") if event.startswith("group_") else None,
            machine=True if payload.get("sg_machine_open") is True else None,
            user_agent=string(payload, "useragent"),
            ip=string(payload, "ip"),
            url=string(payload, "url"),
        )

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        return [_message(payload)] if _INBOUND in payload else []


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {config['api_key']}"), ("accept", "application/json"))


def _payload(mail: Mail) -> dict[str, Any]:
    contents = (("text/plain", mail.text), ("text/html", mail.html))
    ours = (("Message-ID", f"<{mail.message_id}>"),) if mail.message_id else ()
    payload: dict[str, Any] = {
        "personalizations": [_recipients(mail)],
        "from": _person(mail.sender),
        "reply_to_list": [_person(each) for each in mail.reply_to],
        "subject": mail.subject,
        "content": [{"type": kind, "value": value} for kind, value in contents if value],
        "attachments": [_file(each) for each in (*mail.attachments, *mail.inline)],
        "headers": dict((*mail.headers, *ours)),
        "categories": list(mail.tags),
        "custom_args": dict(mail.metadata),
    }
    said = {name: value for name, value in payload.items() if value}
    return add_options(said, mail.options, _RECIPIENTS)


def _recipients(mail: Mail) -> dict[str, list[dict[str, str]]]:
    """SendGrid refuses an address that stands in two of the three, so it stays in the first."""
    seen: set[str] = set()
    found: dict[str, list[dict[str, str]]] = {}
    for field, several in (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc)):
        fresh = [each for each in several if each.email.lower() not in seen]
        seen.update(each.email.lower() for each in fresh)
        if fresh:
            found[field] = [_person(each) for each in fresh]
    return found


def _person(address: Address) -> dict[str, str]:
    return {"email": address.email} | ({"name": address.name} if address.name else {})


def _file(attachment: Attachment) -> dict[str, str]:
    said = {"content": base64_of(attachment), "type": attachment.content_type, "filename": attachment.filename}
    if attachment.content_id:
        said |= {"disposition": "inline", "content_id": attachment.content_id}
    return said


def _until_reset(response: HttpResponse) -> float | None:
    """https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits"""
    reset, said = moment(response.headers.get("x-ratelimit-reset")), moment(response.headers.get("date"))
    return max((reset - said).total_seconds(), 0.0) if reset is not None and said is not None else None


def _holds(key: str, signature: bytes, signed: bytes) -> bool:
    public = _public_key(key)
    if public is None:
        return False
    try:
        public.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=256)
def _public_key(text: str) -> ec.EllipticCurvePublicKey | None:
    """The console's base64 of a SubjectPublicKeyInfo, the same as PEM, or a raw point; None for anything else."""
    try:
        der = base64.b64decode(_ARMOUR.sub("", text), validate=True)
        if len(der) == _POINT:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), der)
        key = load_der_public_key(der)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _sent_id(told: str) -> str:
    """The id without the name of the server that handled it, or, where there is none, up to the first dot."""
    found = _SUFFIX.search(told)
    return told[: found.start()] if found is not None else told.partition(".")[0]


def _kind(payload: Mapping[str, Any], event: str) -> str:
    """A bounce of type `blocked` speaks of the message or of us, not of the address."""
    return "blocked" if event == "bounce" and payload.get("type") == "blocked" else event


def _form(fields: Mapping[str, bytes]) -> dict[str, Any]:
    """Inbound Parse: each field has a charset of its own; the whole message, where it is sent raw, stays as it is."""
    try:
        charsets = orjson.loads(fields.get("charsets", b"{}"))
    except orjson.JSONDecodeError:
        charsets = {}
    named = ("from", "to", "subject", "text", "html", "envelope", "headers")
    said = {name: bodies.text(fields[name], string(charsets, name) or "utf-8") for name in named if name in fields}
    if "email" in fields:
        said["raw"] = base64.b64encode(fields["email"]).decode("ascii")
    elif "headers" not in fields:
        bodies.unparseable("mail from Inbound Parse")
    return {_INBOUND: said, "digest": event_key(*map(repr, sorted(said.items())))}


def _message(payload: Mapping[str, Any]) -> InboundMessage:
    said = payload[_INBOUND]
    raw = base64.b64decode(said["raw"]) if "raw" in said else None
    block = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0] if raw else str(said.get("headers", "")).encode()
    try:
        envelope = orjson.loads(said.get("envelope") or "{}")
    except orjson.JSONDecodeError:
        envelope = {}
    to = envelope.get("to") if isinstance(envelope, dict) else None
    return from_headers(
        header_block(block),
        sender=bare(said.get("from")),
        to=str(to[0]) if isinstance(to, list) and to else bare(said.get("to")),
        subject=said.get("subject"),
        text=said.get("text"),
        html=said.get("html"),
        raw=raw,
    )
