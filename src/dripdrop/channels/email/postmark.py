"""How does Postmark take an e-mail, and what does it tell us later?

Sending: https://postmarkapp.com/developer/api/email-api (error codes: .../api/overview#error-codes).
Webhooks: https://postmarkapp.com/developer/webhooks/webhooks-overview, one page for each event below it.
In doubt: https://postmarkapp.com/support/article/what-is-an-idempotency-key (there is none);
https://postmarkapp.com/developer/api/messages-api finds a message by its metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import orjson

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, retry_after, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.inbound import bare, from_headers
from dripdrop.channels.email.mail import Mail, add_options, base64_of, mailbox, mailboxes, unsupported
from dripdrop.channels.email.provider import KeepsOurId, base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.message import Attachment
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, Found, NotFound, Outcome, Rejected

_API = "https://api.postmarkapp.com"
_RECIPIENTS = ("To", "Cc", "Bcc", "From", "ReplyTo", "Messages")
_MOST_METADATA, _LONGEST_NAME, _LONGEST_VALUE = 10, 20, 80

# Error codes that concern the account, not this message: token, sender signature, credit, approval, stream.
_ADAPTER = frozenset((10, 400, 401, 405, 412, 413, 1235, 1236))
_MAINTENANCE, _INACTIVE, _RATE, _INVALID = 100, 406, 429, 300

_BOUNCES: Mapping[str, tuple[Status, Severity | None]] = {
    "HardBounce": ("bounced", "permanent"),
    "BadEmailAddress": ("bounced", "permanent"),
    "ManuallyDeactivated": ("bounced", "permanent"),
    "SoftBounce": ("bounced", "temporary"),
    "DnsError": ("bounced", "temporary"),
    "Transient": ("deferred", "temporary"),
    "OpenRelayTest": ("deferred", "temporary"),
    "Blocked": ("blocked", None),
    "SMTPApiError": ("blocked", None),
    "DMARCPolicy": ("blocked", None),
    "SpamNotification": ("blocked", None),
    "VirusNotification": ("blocked", None),
    "SpamComplaint": ("complained", None),
    "Unsubscribe": ("unsubscribed", None),
    "ManualSuppression": ("unsubscribed", None),
    "Subscribe": ("resubscribed", None),
    "Unconfirmed": ("rejected", None),
    "TemplateRenderingFailed": ("rejected", None),
}
# A machine answered for the person: told as a message that came in, not as trouble with the delivery.
_ANSWERS = frozenset(("AutoResponder", "AddressChange", "ChallengeVerification"))
_RECORDS: Mapping[str, Status] = {"Delivery": "delivered", "Open": "opened", "Click": "clicked"}
_TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")


class PostmarkProvider(KeepsOurId):
    """Postmark's e-mail API.

    Credentials: `api_key` (the server token); for webhooks `webhook_basic_auth` (`user:password`, as in the webhook's
    URL) or `webhook_secret` (the value of a custom header), each a text or, while rotating, a list. Config:
    `message_stream`, `webhook_header` (the custom header's name, default X-Webhook-Secret), `base_url`, `from`, `tags`
    (one), `metadata` (ten entries, names to 20 and values to 80 characters), `provider_options` (such as TrackOpens).
    """

    name = "postmark"
    lacks = frozenset(("several_tags",))
    on_doubt = Askable(after=timedelta(minutes=1), give_up=timedelta(hours=1))

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        body = orjson.dumps(_payload(mail, config))
        headers = (*_headers(config), ("content-type", "application/json"))
        return HttpRequest("POST", f"{base_url(config, _API)}/email", headers, body)

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return string(answer, "MessageID")

    def outcome(self, response: HttpResponse) -> Outcome:
        answer = json_of(response)
        if response.status == 200 and answer.get("ErrorCode") not in (0, None):
            return self.refusal(HttpResponse(422, response.headers, response.body), answer)
        return super().outcome(response)

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        code, said = answer.get("ErrorCode"), str(answer.get("Message", ""))
        detail = {"status": response.status, "code": code, "said": saying(said)}
        if code == _INACTIVE:
            return Rejected("bounced", "recipient", None, detail)
        if code == _RATE:
            return Rejected("temporary", "throttled", retry_after(response), detail)
        if code == _MAINTENANCE or code in _ADAPTER or (code == _INVALID and "'From'" in said):
            return Rejected("temporary", "adapter", retry_after(response), detail)
        if code == _INVALID and any(f"'{field}'" in said for field in ("To", "Cc", "Bcc")):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{base_url(config, _API)}/server", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        if response.status == 200:
            return None
        return f"Postmark answered {response.status}: {saying(json_of(response).get('Message', ''))}"

    def find_request(self, delivery: Delivery, config: Config) -> HttpRequest:
        query = urlencode({"count": 1, "offset": 0, f"metadata_{DELIVERY_KEY}": str(delivery.id)})
        return HttpRequest("GET", f"{base_url(config, _API)}/messages/outbound?{query}", _headers(config))

    def found(self, response: HttpResponse) -> Found:
        messages = json_of(response).get("Messages")
        if response.status != 200 or not isinstance(messages, list):
            return CannotTell({"status": response.status})
        return Accepted(string(messages[0], "MessageID")) if messages else NotFound()

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """Postmark signs nothing: it sends the password of its URL, and the custom headers that were set there."""
        callers.secrets(config, "webhook_basic_auth", "webhook_secret")
        if config.get("webhook_basic_auth"):
            given = callers.basic(headers)
            if not given or not callers.any_same(given, callers.secrets(config, "webhook_basic_auth")):
                callers.refuse("The webhook's user or password is wrong or missing.")
        if config.get("webhook_secret"):
            name = str(config.get("webhook_header") or "X-Webhook-Secret")
            if not callers.any_same(callers.header(headers, name), callers.secrets(config, "webhook_secret")):
                callers.refuse(f"The header {name} is wrong.")

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        return [bodies.json_object(raw_body)]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        """A bounce's own ID; MessageID names the message, so for the rest whom, when and what belong to it."""
        record = _record(payload)
        if record in ("Bounce", "SpamComplaint") and payload.get("ID") is not None:
            return event_key(record, payload["ID"])
        times = [payload.get(name) for name in _TIMES]
        which = (payload.get(name) for name in ("OriginalLink", "SuppressSending", "SuppressionReason", "Type"))
        return event_key(record, payload.get("MessageID"), _recipient(payload), *times, *which)

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        if _record(payload) == "Inbound":
            return None
        whose = {
            "delivery_id": string(payload, "Metadata", DELIVERY_KEY),
            "provider_message_id": string(payload, "MessageID"),
        }
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        status, severity = _meaning(payload)
        if status is None:
            return None
        kind = string(payload, "Type") or string(payload, "SuppressionReason")
        return Feedback(
            status,
            _recipient(payload),
            next((at for name in _TIMES if (at := moment(payload.get(name)))), None),
            severity,
            event=_record(payload),
            reason=kind or "",
            user_agent=string(payload, "UserAgent"),
            ip=string(payload, "Geo", "IP"),
            url=string(payload, "OriginalLink"),
        )

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        if string(payload, "Type") in _ANSWERS:
            return [_answer(payload)]
        return [_inbound(payload)] if _record(payload) == "Inbound" else []


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    return (("accept", "application/json"), ("x-postmark-server-token", str(config["api_key"])))


def _payload(mail: Mail, config: Config) -> dict[str, Any]:
    _check_metadata(mail)
    payload: dict[str, Any] = {
        "From": mailbox(mail.sender),
        "To": mailboxes(mail.to),
        "Cc": mailboxes(mail.cc),
        "Bcc": mailboxes(mail.bcc),
        "ReplyTo": mailboxes(mail.reply_to),
        "Subject": mail.subject,
        "TextBody": mail.text,
        "HtmlBody": mail.html,
        "Tag": mail.tags[0] if mail.tags else None,
        "MessageStream": config.get("message_stream"),
        "Headers": _custom(mail),
        "Attachments": [_file(each) for each in (*mail.attachments, *mail.inline)],
        "Metadata": dict(mail.metadata),
    }
    said = {name: value for name, value in payload.items() if value or name == "Subject"}
    return add_options(said, mail.options, _RECIPIENTS)


def _check_metadata(mail: Mail) -> None:
    for name, value in mail.metadata.items():
        if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
            unsupported("metadata")
    if len(mail.metadata) > _MOST_METADATA:
        unsupported("metadata")


def _custom(mail: Mail) -> list[dict[str, str]]:
    """Postmark keeps a Message-ID of ours only where X-PM-KeepID asks for it."""
    ours = (("Message-ID", f"<{mail.message_id}>"), ("X-PM-KeepID", "true")) if mail.message_id else ()
    return [{"Name": name, "Value": value} for name, value in (*mail.headers, *ours)]


def _file(attachment: Attachment) -> dict[str, str]:
    said = {
        "Name": attachment.filename,
        "Content": base64_of(attachment),
        "ContentType": attachment.content_type,
    }
    return said | ({"ContentID": f"cid:{attachment.content_id}"} if attachment.content_id else {})


def _record(payload: Mapping[str, Any]) -> str:
    """The kind of event; inbound mail may come without one."""
    return string(payload, "RecordType") or ("Inbound" if "FromFull" in payload else "")


def _recipient(payload: Mapping[str, Any]) -> str | None:
    return string(payload, "Recipient") or string(payload, "Email")


def _meaning(payload: Mapping[str, Any]) -> tuple[Status | None, Severity | None]:
    record, kind = _record(payload), string(payload, "Type") or ""
    if record in _RECORDS:
        return _RECORDS[record], None
    if record == "SubscriptionChange":
        if payload.get("SuppressSending") is False:
            return "resubscribed", None
        return _BOUNCES.get(string(payload, "SuppressionReason") or "", ("unsubscribed", None))
    if record == "SpamComplaint":
        return "complained", None
    if record != "Bounce" or kind in _ANSWERS or kind == "InboundError":
        return None, None
    # Of a kind we do not know, Postmark's own consequence tells whether the address is dead.
    unknown: tuple[Status, Severity | None] = (
        ("bounced", "permanent") if payload.get("Inactive") is True else ("failed", None)
    )
    return _BOUNCES.get(kind, unknown)


def _answer(payload: Mapping[str, Any]) -> InboundMessage:
    return InboundMessage(
        sender=string(payload, "Email") or "",
        to=string(payload, "From") or "",
        received_at=moment(payload.get("BouncedAt")),
        subject=string(payload, "Subject"),
        intent="auto_reply",
        intent_data={"kind": string(payload, "Type")},
        replies_to=string(payload, "MessageID"),
    )


def _inbound(payload: Mapping[str, Any]) -> InboundMessage:
    """https://postmarkapp.com/developer/webhooks/inbound-webhook"""
    written = payload.get("Headers")
    several = written if isinstance(written, list) else ()
    raw, to = payload.get("RawEmail"), payload.get("ToFull")
    return from_headers(
        tuple((string(each, "Name") or "", string(each, "Value") or "") for each in several),
        sender=string(payload, "FromFull", "Email") or bare(string(payload, "From")),
        to=string(payload, "OriginalRecipient") or string(to[0] if isinstance(to, list) and to else None, "Email"),
        subject=string(payload, "Subject"),
        text=child(payload, "TextBody"),
        html=child(payload, "HtmlBody"),
        provider_message_id=string(payload, "MessageID"),
        raw=raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else None,
    )
