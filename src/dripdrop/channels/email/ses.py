"""How does Amazon SES take an e-mail, and what does it tell us later?

Sending: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html; it writes a Message-ID of its own
(https://docs.aws.amazon.com/ses/latest/dg/header-fields.html).
Events, by a configuration set: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html;
notifications of an identity: .../dg/notification-contents.html; mail that comes in:
.../dg/receiving-email-notifications-contents.html. All of them come through a topic of SNS (`sns_messages`).
In doubt nothing can be done: SendEmail knows no key, and a message is found by the id that its answer gives.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from dripdrop.channels import aws, bodies, sns_messages
from dripdrop.channels.answers import saying
from dripdrop.channels.bodies import child, string
from dripdrop.channels.email import raw, ses_events
from dripdrop.channels.email.mail import Mail, add_options, unsupported
from dripdrop.channels.email.provider import EmailProvider, event_key
from dripdrop.contracts import DELIVERY_KEY, Config, Delivery, HttpRequest, HttpResponse, Verified, WebhookRequest
from dripdrop.rules.feedback import Feedback, InboundMessage
from dripdrop.rules.message import Address
from dripdrop.rules.outcome import Accepted, Neither, Outcome, Rejected

_SEND = "/v2/email/outbound-emails"
_OURS = ("Content", "Destination", "FromEmailAddress", "ReplyToAddresses", "EmailTags")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_MOST_TAGS = 50

# Whatever the person: the account, its quota, an identity or a configuration set that is not there.
_ADAPTER = frozenset(
    ("AccountSuspendedException", "MailFromDomainNotVerifiedException", "NotFoundException", "SendingPausedException")
)
_QUOTA = "LimitExceededException"
_UNVERIFIED = "Email address is not verified"


class SesProvider(EmailProvider):
    """Amazon SES, API version 2, with the whole e-mail as we wrote it.

    Credentials: `region`, `access_key`, `secret`, and `session_token` for keys of a role; for webhooks `sns_topic_arn`
    (a text, or a list of several topics). Config: `configuration_set`, `base_url`, `from`, `tags` (one: sent as SES's
    message tag `tag`), `metadata` (SES's message tags: letters, digits, _ and -), `provider_options` (fields of
    SendEmail), `sns_ca` (PEM), `sns_replay_seconds`. A subscription of one of the topics to the adapter's address is
    confirmed by itself.
    """

    name = "ses"
    required = aws.CREDENTIALS
    lacks = frozenset(("several_tags",))
    on_doubt = Neither()

    def call(self, mail: Mail, config: Config) -> HttpRequest:
        headers = (("content-type", "application/json"), ("accept", "application/json"))
        body = orjson.dumps(_payload(mail, config))
        return aws.signed(HttpRequest("POST", aws.endpoint(config, "email") + _SEND, headers, body), config, "ses")

    def message_id(self, response: HttpResponse, answer: Mapping[str, Any]) -> str | None:
        return string(answer, "MessageId")

    def seen_as(self, delivery: Delivery, outcome: Accepted, config: Config) -> str | None:
        """SES writes a Message-ID of its own over ours: its id, at a domain of its region.

        https://docs.aws.amazon.com/ses/latest/dg/header-fields.html
        """
        region = str(config.get("region") or "")
        domain = "email.amazonses.com" if region == "us-east-1" else f"{region}.amazonses.com"
        return f"{outcome.provider_message_id}@{domain}" if outcome.provider_message_id and region else None

    def refusal(self, response: HttpResponse, answer: Mapping[str, Any]) -> Outcome:
        name = aws.error_name(response)
        said = string(answer, "message") or string(answer, "Message") or ""
        detail = {"status": response.status, "error": name, "said": saying(said)}
        if name == _QUOTA:
            return Rejected("temporary", "throttled", None, detail)
        if name in _ADAPTER or said.startswith(_UNVERIFIED):
            return Rejected("temporary", "adapter", None, detail)
        return aws.refusal(response)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return aws.credential_problems(credentials)

    def check_request(self, config: Config) -> HttpRequest:
        return aws.signed(HttpRequest("GET", f"{aws.endpoint(config, 'email')}/v2/email/account"), config, "ses")

    def checked(self, response: HttpResponse) -> str | None:
        """A key that may only send is refused here by that name, and is well."""
        if response.status == 200:
            return None if child(bodies.json_object(response.body), "SendingEnabled") else "Sending is paused in SES."
        name = aws.error_name(response)
        return None if name == "AccessDeniedException" else f"SES answered {response.status}: {name}."

    def webhook_routes(self, adapter: Any) -> Sequence[tuple[str, str]]:
        return (("POST", ""),)

    def needs(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[str]:
        return sns_messages.needs(sns_messages.read(raw_body))

    def verify_webhook(self, raw_body: bytes, headers: Mapping[str, str], config: Config) -> Verified:
        return sns_messages.verify(sns_messages.read(raw_body), config)

    def handshake(self, request: WebhookRequest, config: Config) -> HttpRequest | None:
        """The call that confirms a subscription of the adapter's own topic."""
        return sns_messages.confirmation(sns_messages.read(request.body))

    def parse_events(self, raw_body: bytes, headers: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        """One payload for each recipient, or each topic of a subscription; text that is no event is one without any.

        https://docs.aws.amazon.com/ses/latest/dg/event-publishing-add-event-destination-sns.html: SES greets a topic.
        """
        message = bodies.json_object(raw_body)
        told = message.get("Message")
        if not isinstance(told, str):
            bodies.unparseable("a message of SNS")
        event = sns_messages.read(told.encode("utf-8", "replace"))
        if not event and told.lstrip().startswith("{"):
            bodies.unparseable("an event of SES")
        frame = {"sns": string(message, "MessageId"), "kind": string(message, "Type"), "event": event}
        return [{**frame, "number": number, **about} for number, about in enumerate(ses_events.split(event))]

    def provider_event_id(self, payload: Mapping[str, Any]) -> str | None:
        if ses_events.kind(payload) == "Received":
            return event_key("Received", string(payload, "event", "mail", "messageId") or payload.get("sns"))
        return event_key(payload.get("sns"), payload.get("number")) if payload.get("sns") else None

    def resolve_delivery(self, payload: Mapping[str, Any]) -> Mapping[str, str] | None:
        if ses_events.kind(payload) == "Received":
            return None
        given = child(payload, "event", "mail", "tags", DELIVERY_KEY)
        whose = {
            "delivery_id": str(given[0]) if isinstance(given, list) and given else None,
            "provider_message_id": string(payload, "event", "mail", "messageId"),
        }
        return {name: value for name, value in whose.items() if value} or None

    def normalize_feedback(self, payload: Mapping[str, Any]) -> Feedback | None:
        return ses_events.feedback(payload)

    def parse_inbound(self, payload: Mapping[str, Any]) -> list[InboundMessage]:
        return [ses_events.message(payload)] if ses_events.kind(payload) == "Received" else []


def _payload(mail: Mail, config: Config) -> dict[str, Any]:
    lists = (("ToAddresses", mail.to), ("CcAddresses", mail.cc), ("BccAddresses", mail.bcc))
    payload: dict[str, Any] = {
        "Content": {"Raw": {"Data": base64.b64encode(raw.octets(mail, config)).decode("ascii")}},
        "Destination": {name: _bare(several) for name, several in lists if several},
        "EmailTags": [{"Name": name, "Value": value} for name, value in _tags(mail)],
    }
    if config.get("configuration_set"):
        payload["ConfigurationSetName"] = str(config["configuration_set"])
    return add_options(payload, mail.options, _OURS)


def _bare(several: Sequence[Address]) -> list[str]:
    """Names stand in the e-mail itself."""
    return [each.email for each in several]


def _tags(mail: Mail) -> Iterator[tuple[str, str]]:
    pairs = [*((("tag", mail.tags[0]),) if mail.tags else ()), *mail.metadata.items()]
    if len(pairs) > _MOST_TAGS or len({name for name, _ in pairs}) < len(pairs):
        unsupported("metadata")
    for place, (name, value) in enumerate(pairs):
        if not _TAG.fullmatch(name) or not _TAG.fullmatch(value):
            unsupported("tags" if mail.tags and place == 0 else "metadata")
        yield name, value
