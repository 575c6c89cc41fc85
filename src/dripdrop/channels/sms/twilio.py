"""How does Twilio take a text message, and what does it tell us later?

Sending: https://www.twilio.com/docs/messaging/api/message-resource. Statuses:
https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks; what comes in:
https://www.twilio.com/docs/messaging/guides/webhook-request; signatures: https://www.twilio.com/docs/usage/security.
In doubt: the Messages API has no key to drop a second request by, and cannot be searched for anything of ours; but the
status callback names our delivery, so a message that Twilio has makes itself known.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit, urlunsplit

from dripdrop.channels import bodies, callers, given
from dripdrop.channels.answers import by_status, json_of, saying
from dripdrop.channels.bodies import child, moment, string
from dripdrop.channels.email.mail import add_options
from dripdrop.channels.email.provider import base_url, event_key
from dripdrop.contracts import DELIVERY_KEY, QUERY, Config, Delivery, HttpRequest, HttpResponse, WebhookRequest
from dripdrop.errors import Invalid
from dripdrop.rules.addresses import refuse
from dripdrop.rules.feedback import Feedback, InboundMessage, Intent, Severity, Status
from dripdrop.rules.message import Sms
from dripdrop.rules.outcome import Accepted, Cause, Kind, Neither, Outcome, Rejected
from dripdrop.rules.urls import check_url

_API = "https://api.twilio.com"
_OURS = ("To", "From", "MessagingServiceSid", "Body", "MediaUrl", "StatusCallback")
_MOST_MEDIA = 10
_MOST_FIELDS = 1000
_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}

# Error codes: https://www.twilio.com/docs/api/errors. Twilio asks not to rely on the list being complete, so what is
# not here is told by its HTTP status.
_REFUSALS: Mapping[tuple[Kind, Cause], tuple[int, ...]] = {
    ("permanent", "opted_out"): (21610,),
    ("bounced", "recipient"): (21211, 21214, 21217, 21265, 21614, 21635),
    ("permanent", "policy"): (21408, 21612, 30004, 30007),
    ("temporary", "throttled"): (14107, 20429, 30001, 63038),
    ("temporary", "adapter"): (
        20003, 20005, 20403, 20404, 21212, 21603, 21606, 21608, 21609, 21659, 21660, 21661, 21701, 21703, 21704, 21705,
        21712, 30002, 30034,
    ),
    ("permanent", "message"): (21602, 21605, 21617, 21619, 21620, 21623, 21654, 21656),
}  # fmt: skip
_REFUSED = {code: outcome for outcome, codes in _REFUSALS.items() for code in codes}

_STATUSES: Mapping[str, Status] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "sent",
    "partially_delivered": "sent",
    "delivered": "delivered",
    "read": "opened",
    "canceled": "rejected",
}
_FAILURES: Mapping[str, tuple[Status, Severity | None]] = {
    "21610": ("unsubscribed", None),
    "21211": ("bounced", "permanent"),
    "21614": ("bounced", "permanent"),
    "30005": ("bounced", "permanent"),
    "30006": ("bounced", "permanent"),
    "30003": ("bounced", "temporary"),
    "30004": ("blocked", None),
    "30007": ("blocked", None),
    "30034": ("blocked", None),
}
_INTENTS: Mapping[str, Intent] = {"STOP": "unsubscribe", "START": "resubscribe"}


class TwilioProvider:
    """Twilio's Messages API.

    Credentials: `account_sid`, `auth_token` (which also signs webhooks; a list while it is rotated); `api_key` and
    `api_secret`, where sending is done with a key; `webhook_shared_key`, where webhooks are signed with one. Config:
    `from` (a number, short code or sender id) or `messaging_service_sid` or both, `validity_period` (seconds),
    `status_callback` (a URL, or false for none; else this adapter's webhook, where the public address is known),
    `base_url`, `provider_options` (such as MaxPrice).
    """

    channel = "sms"
    name = "twilio"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `phone_number`, `sender_missing`, `unsupported`, `provider_option`."""
        message = given.message_of(delivery, Sms)
        fields: dict[str, Any] = {
            "To": given.number("sms", message.to),
            **_sender(message, config),
            "Body": message.body,
            "MediaUrl": _media(message),
            "StatusCallback": _callback(delivery, config),
            "ValidityPeriod": delivery.step.config.get("validity_period") or config.get("validity_period"),
        }
        fields = {name: value for name, value in fields.items() if value}
        body = urlencode(list(_flat(add_options(fields, given.options(delivery, config), _OURS))))
        headers = (*_headers(config), ("content-type", "application/x-www-form-urlencoded"))
        return HttpRequest("POST", f"{_account(config)}/Messages.json", headers, body.encode("ascii"))

    def outcome(self, response: HttpResponse) -> Outcome:
        said = json_of(response)
        if 200 <= response.status < 300:
            return Accepted(string(said, "sid"), {"status": response.status, "state": saying(said.get("status", ""))})
        code = said.get("code")
        known = isinstance(code, int) and not isinstance(code, bool)
        detail = {"status": response.status, "code": code if known else 0, "said": saying(said.get("message", ""))}
        found = by_status(response, detail)
        if not known or code not in _REFUSED or response.status >= 500 or not isinstance(found, Rejected):
            return found
        kind, cause = _REFUSED[code]
        return Rejected(kind, cause, found.retry_after, detail)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        problems = given.missing(credentials, "account_sid", "auth_token")
        if credentials.get("api_key") and not credentials.get("api_secret"):
            problems.append(("api_secret", "is required with an api_key"))
        return problems

    def check_request(self, config: Config) -> HttpRequest:
        return HttpRequest("GET", f"{_account(config)}.json", _headers(config))

    def checked(self, response: HttpResponse) -> str | None:
        said = json_of(response)
        if response.status != 200:
            return f"Twilio answered {response.status}: {saying(said.get('message', ''))}"
        state = string(said, "status") or "active"
        return None if state == "active" else f"The account is {saying(state)}."

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> None:
        """The URL as Twilio called it and the fields of the form are signed; of any other body only its hash."""
        secrets = callers.secrets(config, "auth_token", "webhook_shared_key")
        signature = callers.header(headers, "X-Twilio-Signature")
        algorithm = _algorithm(headers.get("x-twilio-webhooks-signature-settings", ""))
        fields = "" if _other_body(raw_body, headers, str(config["url"])) else _signed_fields(raw_body)
        signed = [f"{url}{fields}".encode() for url in _spellings(str(config["url"]))]
        digests = (hmac.digest(secret.encode(), each, algorithm) for secret in secrets for each in signed)
        if not callers.any_same(signature, [base64.b64encode(each).decode("ascii") for each in digests]):
            callers.refuse("The signature does not hold.", "Check auth_token and public_url.")

    def acknowledge(self, request: WebhookRequest) -> HttpResponse:
        """An empty TwiML: any text would be sent to the person as an answer."""
        return HttpResponse(200, {"content-type": "text/xml"}, b"<Response/>")

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        ours = parse_qs(headers.get(QUERY, "")).get(DELIVERY_KEY, [])
        named = {DELIVERY_KEY: ours[-1]} if ours else {}
        if bodies.content_type(headers) == "application/json":
            return [{**_of_stream(each), **named} for each in bodies.json_objects(raw_body)]
        fields = {name: bodies.text(value) for name, value in bodies.form(raw_body, headers).items()}
        if not fields.get("MessageSid") and not fields.get("SmsSid"):
            bodies.unparseable("a message or a status of Twilio")
        return [{**fields, **named}]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        """One message has many statuses, and each is told once."""
        return event_key(_sid(payload), _status(payload), string(payload, "ErrorCode"))

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        if _came_in(payload):
            return None
        whose = {"delivery_id": string(payload, DELIVERY_KEY), "provider_message_id": _sid(payload)}
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        event, code = _status(payload), string(payload, "ErrorCode") or ""
        if _came_in(payload):
            return None
        status, severity = _STATUSES.get(event), None
        if event in ("undelivered", "failed"):
            status, severity = _FAILURES.get(code, ("failed", None))
        if status is None:
            return None
        at = moment(payload.get("timestamp"))
        return Feedback(status, string(payload, "To"), at, severity, event=event, reason=code[:20])

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        sender = string(payload, "From")
        if not _came_in(payload) or "Body" not in payload or sender is None:
            return []
        return [
            InboundMessage(
                sender=sender,
                to=string(payload, "To") or "",
                text=string(payload, "Body") or "",
                intent=_INTENTS.get(string(payload, "OptOutType") or ""),
                provider_message_id=_sid(payload),
                replies_to=string(payload, "OriginalRepliedMessageSid"),
            )
        ]


def _headers(config: Config) -> tuple[tuple[str, str], ...]:
    user, password = given.secret(config, "account_sid"), given.secret(config, "auth_token")
    if given.secret(config, "api_key"):
        user, password = given.secret(config, "api_key"), given.secret(config, "api_secret")
    login = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    return (("authorization", f"Basic {login}"), ("accept", "application/json"))


def _account(config: Config) -> str:
    return f"{base_url(config, _API)}/2010-04-01/Accounts/{quote(given.secret(config, 'account_sid'), safe='')}"


def _sender(message: Sms, config: Config) -> dict[str, str]:
    sender = (message.sender or str(config.get("from") or "")).strip()
    service = str(config.get("messaging_service_sid") or "").strip()
    if sender.startswith("MG") and len(sender) == 34:
        sender, service = "", sender
    if not sender and not service:
        refuse("sender_missing", "from", "The message has no sender.", "Set `from` or `messaging_service_sid`.")
    return {"From": sender, "MessagingServiceSid": service}


def _media(message: Sms) -> list[str]:
    if len(message.media_urls) > _MOST_MEDIA:
        given.unsupported(f"media_urls[{_MOST_MEDIA}]")
    return list(message.media_urls)


def _callback(delivery: Delivery, config: Config) -> str | None:
    """Where statuses go, with our delivery's id in it; None where there is no place that Twilio could reach."""
    place = config.get("status_callback")
    place = config.get("webhook_url") if place is None else place
    if not place:
        return None
    try:
        check_url(str(place))
    except Invalid:
        return None
    return f"{place}{'&' if '?' in str(place) else '?'}{urlencode({DELIVERY_KEY: str(delivery.id)})}"


def _flat(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        for each in value if isinstance(value, (list, tuple)) else (value,):
            yield name, str(each).lower() if isinstance(each, bool) else str(each)


def _algorithm(settings: str) -> str:
    """The hash that the header names: `key=...,algorithm=HMAC_SHA256`; without it, Twilio's first."""
    named = [each.partition("=")[2].strip() for each in settings.split(",") if each.strip().startswith("algorithm=")]
    found = _HASHES.get((named or ["HMAC_SHA1"])[0].upper())
    return found if found is not None else callers.refuse("The signature is of a kind that nobody knows.")


def _other_body(raw_body: bytes, headers: Mapping[str, str], url: str) -> bool:
    """Whether the body is no form, so that its hash stands in the URL; a hash that is wrong is refused."""
    hashes = parse_qs(urlsplit(url).query).get("bodySHA256")
    if not hashes or bodies.content_type(headers) == "application/x-www-form-urlencoded":
        return False
    if not callers.same(hashes[0].lower(), hashlib.sha256(raw_body).hexdigest()):
        callers.refuse("The body is not the one that was signed.")
    return True


def _signed_fields(raw_body: bytes) -> str:
    """Names and values of the form, sorted; of a repeated field each value once."""
    try:
        text = raw_body.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        callers.refuse("The body is not a form.")
    return "".join(f"{name}{value}" for name, value in sorted(set(pairs)))


def _spellings(url: str) -> Iterable[str]:
    """The URL with and without its port: Twilio signs the one or the other."""
    parts = urlsplit(url)
    host, _, port = parts.netloc.rpartition(":")
    other = host if port.isdigit() and host else f"{parts.netloc}:{443 if parts.scheme == 'https' else 80}"
    return (url, urlunsplit(parts._replace(netloc=other)))


def _of_stream(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event of Event Streams in the words of a callback.

    https://www.twilio.com/docs/events/event-types/messaging/outbound-message
    """
    data = child(event, "data")
    names = {"MessageSid": "messageSid", "MessageStatus": "messageStatus", "ErrorCode": "errorCode", "To": "to"}
    return {**{ours: string(data, theirs) for ours, theirs in names.items()}, "timestamp": string(data, "timestamp")}


def _sid(payload: Mapping[str, Any]) -> str | None:
    return string(payload, "MessageSid") or string(payload, "SmsSid")


def _status(payload: Mapping[str, Any]) -> str:
    return (string(payload, "MessageStatus") or string(payload, "SmsStatus") or "").lower()


def _came_in(payload: Mapping[str, Any]) -> bool:
    return _status(payload) in ("received", "receiving") or ("Body" in payload and not string(payload, "MessageStatus"))
