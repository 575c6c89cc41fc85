"""How does Mailgun take an e-mail, and what does it tell us later?

Sending: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages. Events:
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads, signed as in
.../webhooks/securing-webhooks. Replies: .../user-manual/receive-forward-store/receive-http.
In doubt: https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/events finds a message by its
Message-ID, which we set. Mailgun may send a message although it answered with 5xx, so a 5xx is a doubt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from dripdrop.channels import bodies, callers
from dripdrop.channels.answers import by_status, json_of, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.inbound import bare, from_headers, pairs
from dripdrop.channels.email.mail import Mail, add_options, mailbox, mailboxes, read
from dripdrop.channels.email.provider import EmailProvider, base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery, HttpRequest, HttpResponse, Verified
from dripdrop.errors import Invalid
from dripdrop.rules.feedback import Feedback, InboundMessage, Severity, Status
from dripdrop.rules.outcome import Accepted, Askable, CannotTell, Found, NotFound, Outcome, Rejected, Unknown

_API = "https://api.mailgun.net/v3"
_RECIPIENTS = ("to", "cc", "bcc", "from", "recipient-variables", "h:to", "h:cc", "h:bcc", "h:from", "h:reply-to")
_INBOUND = "inbound"
_RAW = "body-mime"

_EVENTS: Mapping[str, tuple[Status, Severity | None]] = {
    "accepted": ("accepted", None),
    "rejected": ("rejected", None),
    "delivered": ("delivered", None),
    "opened": ("opened", None),
    "clicked": ("clicked", None),
    "unsubscribed": ("unsubscribed", None),
    "complained": ("complained", None),
}
# `reason` of a message given up: on Mailgun's own lists, refused for what or who sent it, or tried for too long. Only a
# `bounce` speaks against the address; what else was given up is soft, and the next message may be tried:
# https://documentation.mailgun.com/docs/mailgun/user-manual/reporting/metric-definitions.
_FAILURES: Mapping[str, tuple[Status, Severity | None]] = {
    "suppress-bounce": ("bounced", "permanent"),
    "suppress-complaint": ("complained", None),
    "suppress-unsubscribe": ("unsubscribed", None),
    "espblock": ("blocked", None),
    "blacklisted": ("blocked", None),
    "greylisted": ("bounced", "temporary"),
    "generic": ("bounced", "temporary"),
    "old": ("bounced", "temporary"),
}


class MailgunProvider(EmailProvider):
    """Mailgun's messages API.

    Credentials: `api_key`, `domain`; for webhooks `webhook_signing_key`, and `webhook_parent_signing_key` where a
    parent account signs for a subaccount (each a text or, while rotating, a list). Config: `base_url`
    (https://api.eu.mailgun.net/v3 in the EU), `from`, `tags`, `metadata`, `provider_options` (such as o:testmode).
    """

    name = "mailgun"
    required = ("api_key", "domain")
    on_doubt = Askable(after=timedelta(minutes=1), give_up=timedelta(hours=1))

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        fields = _flat(add_options(_fields(mail), mail.options, _RECIPIENTS))
        kind, body = _encoded(mail, fields)
        headers = (*_headers(config), ("content-type", kind))
        return HttpRequest("POST", f"{_domain(config)}/messages", headers, body)

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return (string(answer, "id") or "").strip("<>") or None

    def outcome(self, response: HttpResponse) -> Outcome:
        """A wrong address of the API is answered with 200 and no id: nothing was sent."""
        if response.status == 200 and not string(json_of(response), "id"):
            if b"Magnificent" in response.body:
                return Rejected("temporary", "adapter", None, {"status": 200, "reason": "wrong_endpoint"})
            return Unknown({"status": 200, "reason": "no_id"})
        return super().outcome(response)

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        said = string(answer, "message") or ""
        detail = {"status": response.status, "said": saying(said)}
        if response.status >= 500:
            return Unknown({"reason": "server", **detail})
        if response.status == 404 or (response.status == 400 and said.startswith("from parameter")):
            return Rejected("temporary", "adapter", None, detail)
        if response.status == 400 and said.startswith(("to parameter", "cc parameter", "bcc parameter")):
            return Rejected("permanent", "recipient", None, detail)
        return by_status(response, detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = super().validate_credentials(credentials)
        if "/" in str(credentials.get("domain") or ""):
            problems.append(("domain", "is a domain such as mg.example.com, without a path"))
        return problems

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{_domain(config)}/events?{urlencode({'limit': 1})}", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        if response.status == 200:
            return None
        return f"Mailgun answered {response.status}: {saying(string(json_of(response), 'message') or '')}"

    def find_request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises where the message has no Message-ID: then Mailgun cannot be asked for it."""
        asked = read(delivery, config).message_id
        if asked is None:
            raise LookupError
        query = urlencode({"message-id": asked, "limit": 1})
        return HttpRequest("GET", f"{_domain(config)}/events?{query}", _headers(config))

    def found(self, response: HttpResponse) -> Found:
        items = json_of(response).get("items")
        if response.status != 200 or not isinstance(items, list):
            return CannotTell({"status": response.status})
        return Accepted(string(items[0], "message", "headers", "message-id")) if items else NotFound()

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> Verified:
        """The signature covers a token and a time, not the body: so each token may be used only once."""
        keys = callers.secrets(config, "webhook_signing_key", "webhook_parent_signing_key")
        good = [each for each in _signatures(raw_body, headers) if _holds(each, keys)]
        if not good:
            callers.refuse("The signature is missing or does not hold.")
        callers.fresh(string(good[0], "timestamp"), config)
        return Verified(once=(string(good[0], "token") or "",))

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        if bodies.content_type(headers) in ("multipart/form-data", "application/x-www-form-urlencoded"):
            return [_form(bodies.form(raw_body, headers))]
        event = bodies.json_object(raw_body).get("event-data")
        return [event] if isinstance(event, dict) else bodies.unparseable("an event of Mailgun")

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        """`id` is only sure to be unique within a day, so the time belongs to it."""
        if _INBOUND in payload:
            named = (string(payload, _INBOUND, "Message-Id") or "").strip("<>")
            return event_key(_INBOUND, named or string(payload, _INBOUND, "token"))
        return event_key(payload.get("event"), payload.get("id"), payload.get("timestamp"), payload.get("recipient"))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        whose = {
            "delivery_id": string(payload, "user-variables", DELIVERY_KEY),
            "provider_message_id": (string(payload, "message", "headers", "message-id") or "").strip("<>"),
        }
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        event = string(payload, "event") or ""
        status, severity = _failure(payload) if event == "failed" else _EVENTS.get(event, (None, None))
        if status is None:
            return None
        return Feedback(
            status,
            string(payload, "recipient") or bare(string(payload, "message", "headers", "to")) or None,
            moment(payload.get("timestamp")),
            severity,
            event=event,
            reason=_reason(payload),
            machine=True if string(payload, "client-info", "bot") else None,
            user_agent=string(payload, "client-info", "user-agent"),
            ip=string(payload, "ip"),
            url=string(payload, "url"),
        )

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        return [_message(payload[_INBOUND])] if _INBOUND in payload else []


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    login = base64.b64encode(f"api:{config['api_key']}".encode()).decode("ascii")
    return (("authorization", f"Basic {login}"), ("accept", "application/json"))


def _domain(config: Config) -> str:
    return f"{base_url(config, _API)}/{quote(str(config['domain']), safe='')}"


def _fields(mail: Mail) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "from": mailbox(mail.sender),
        "to": [mailbox(each) for each in mail.to],
        "cc": [mailbox(each) for each in mail.cc],
        "bcc": [mailbox(each) for each in mail.bcc],
        "subject": mail.subject,
        "text": mail.text or "",
        "html": mail.html or "",
        "h:Reply-To": mailboxes(mail.reply_to),
        "h:Message-Id": f"<{mail.message_id}>" if mail.message_id else "",
        "o:tag": list(mail.tags),
        **{f"h:{name}": value for name, value in mail.headers},
        **{f"v:{name}": value for name, value in mail.metadata.items()},
    }
    return {name: value for name, value in fields.items() if value or name == "subject"}


def _flat(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    several = ((name, value if isinstance(value, (list, tuple)) else [value]) for name, value in fields.items())
    return [(name, str(each)) for name, values in several for each in values]


def _encoded(mail: Mail, fields: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
    """(content type, body): a plain form, or with files multipart (RFC 7578); equal for equal messages."""
    if not (mail.attachments or mail.inline):
        return "application/x-www-form-urlencoded", urlencode(list(fields)).encode("ascii")
    files = [("attachment", each.filename or "attachment", each) for each in mail.attachments]
    files += [("inline", each.content_id or each.filename, each) for each in mail.inline]
    parts = [(_disposition(name), value.encode()) for name, value in fields]
    parts += [
        (_disposition(field, name) + f"Content-Type: {each.content_type}\r\n".encode(), each.content)
        for field, name, each in files
    ]
    boundary = hashlib.sha256(mail.key.encode()).hexdigest().encode()
    while any(boundary in content for _, content in parts):
        boundary = hashlib.sha256(boundary).hexdigest().encode()
    body = b"".join(b"--%s\r\n%s\r\n%s\r\n" % (boundary, head, content) for head, content in parts)
    return f"multipart/form-data; boundary={boundary.decode()}", body + b"--" + boundary + b"--\r\n"


def _disposition(name: str, filename: str | None = None) -> bytes:
    quoted = [text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A") for text in (name, filename or "")]
    file = f'; filename="{quoted[1]}"' if filename is not None else ""
    return f'Content-Disposition: form-data; name="{quoted[0]}"{file}\r\n'.encode()


def _signatures(raw_body: bytes, headers: Mapping[str, str]) -> list[Any]:
    """What the body offers as its signature; a body that cannot be read offers none."""
    try:
        if bodies.content_type(headers) in ("multipart/form-data", "application/x-www-form-urlencoded"):
            fields = bodies.form(raw_body, headers)
            return [{name: bodies.text(value) for name, value in fields.items()}]
        body = bodies.json_object(raw_body)
    except Invalid:
        return []
    return [body.get("signature"), body.get("parent-signature")]


def _holds(signature: Any, keys: Iterable[str]) -> bool:
    stamp, token, given = (string(signature, name) or "" for name in ("timestamp", "token", "signature"))
    signed = (stamp + token).encode("utf-8", "replace")
    wanted = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in keys]
    return bool(token) and callers.any_same(given, wanted)


def _failure(payload: Mapping[str, Any]) -> tuple[Status, Severity | None]:
    """What `failed` means: put off, or given up because of the address, of us, or of the time it took."""
    if payload.get("severity") == "temporary":
        return "deferred", "temporary"
    reason, told = string(payload, "reason") or "", child(payload, "delivery-status")
    if reason in _FAILURES:
        return _FAILURES[reason]
    if (string(told, "enhanced-code") or "").startswith("5.7."):
        return "blocked", None
    return "bounced", "temporary" if string(told, "bounce-type") == "soft" else "permanent"


def _reason(payload: Mapping[str, Any]) -> str:
    told = child(payload, "delivery-status")
    refused = saying(string(payload, "reject", "reason") or "")
    said = (string(payload, "reason"), string(told, "code"), string(told, "enhanced-code"), refused)
    return " ".join(each for each in said if each)


def _form(fields: Mapping[str, bytes]) -> dict[str, Any]:
    """A route's form; files are left out, and the whole message, where it is forwarded raw, stays as it is."""
    if "recipient" not in fields:
        bodies.unparseable("mail from a route of Mailgun")
    said = {name: bodies.text(value) for name, value in fields.items() if not name.startswith("attachment")}
    if _RAW in fields:
        said[_RAW] = base64.b64encode(fields[_RAW]).decode("ascii")
    return {_INBOUND: said}


def _message(said: Mapping[str, Any]) -> InboundMessage:
    try:
        headers = pairs(orjson.loads(said.get("message-headers") or "[]"))
    except orjson.JSONDecodeError:
        headers = ()
    return from_headers(
        headers,
        sender=bare(said.get("from")) or bare(said.get("sender")),
        to=bare(said.get("recipient")),
        received_at=moment(said.get("timestamp")),
        message_id=(said.get("Message-Id") or "").strip("<> "),
        in_reply_to=(said.get("In-Reply-To") or "").strip("<> "),
        references=bodies.message_ids(said.get("References")),
        subject=said.get("subject"),
        text=said.get("body-plain"),
        html=said.get("body-html"),
        raw=base64.b64decode(said[_RAW]) if _RAW in said else None,
    )
