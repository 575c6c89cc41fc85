"""How does Amazon SNS take a text message?

Publish: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html; the attributes of a text message:
https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html. What became of it is only written into CloudWatch
(https://docs.aws.amazon.com/sns/latest/dg/sms_stats_cloudwatch.html): SNS calls nobody back.
In doubt: `MessageDeduplicationId` is for FIFO topics alone, and a message cannot be looked up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from dripdrop.channels import aws, given
from dripdrop.channels.answers import saying
from dripdrop.contracts import Config, Delivery, HttpRequest, HttpResponse
from dripdrop.rules.message import Sms
from dripdrop.rules.outcome import Accepted, Cause, Kind, Neither, Outcome, Rejected

_ID = re.compile(rb"<MessageId>([^<]{1,100})</MessageId>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,500})</Message>")
_VERSION = "2010-03-31"
_MONEY = "MaxPrice"
_ATTRIBUTES: Mapping[str, str] = {
    "sender_id": "AWS.SNS.SMS.SenderID",
    "sms_type": "AWS.SNS.SMS.SMSType",
    "max_price": "AWS.SNS.SMS.MaxPrice",
    "entity_id": "AWS.MM.SMS.EntityId",
    "template_id": "AWS.MM.SMS.TemplateId",
}
_ORIGINATION = "AWS.MM.SMS.OriginationNumber"
# What Publish itself may refuse; the rest is the matter of every service.
_REFUSALS: Mapping[str, tuple[Kind, Cause]] = {
    "OptedOut": ("permanent", "opted_out"),
    "OptedOutException": ("permanent", "opted_out"),
    "EndpointDisabled": ("permanent", "recipient"),
    "KMSThrottling": ("temporary", "throttled"),
    "KMSAccessDenied": ("temporary", "adapter"),
    "KMSDisabled": ("temporary", "adapter"),
    "NotFound": ("temporary", "adapter"),
}


class AwsSnsProvider:
    """Publishes to a phone number.

    Credentials: `region`, `access_key`, `secret`, `session_token` (with temporary ones). Config: `from` (a number of
    yours, or a sender id of up to 11 letters and digits), `sms_type` (Transactional, the default, or Promotional),
    `max_price` (US dollars a message), `entity_id` and `template_id` (India), `base_url`; a step's config goes first.
    """

    channel = "sms"
    name = "aws_sns"
    on_doubt = Neither()

    def request(self, delivery: Delivery, config: Config) -> HttpRequest:
        """Raises `Invalid`: `wrong_message`, `phone_number`, `unsupported` (media, options, another sms_type)."""
        message = given.message_of(delivery, Sms)
        if message.media_urls:
            given.unsupported("media_urls")
        if given.options(delivery, config):
            given.unsupported("provider_options")
        fields = {
            "Action": "Publish",
            "Version": _VERSION,
            "PhoneNumber": given.number("sms", message.to),
            "Message": message.body,
            **_attributes(_wanted(message, delivery, config)),
        }
        return _call(fields, config)

    def outcome(self, response: HttpResponse) -> Outcome:
        if 200 <= response.status < 300:
            found = _ID.search(response.body)
            return Accepted(found[1].decode("ascii", "replace") if found else None, {"status": response.status})
        error, text = aws.error_name(response), _said(response)
        detail = {"status": response.status, "error": error, "said": text}
        if error in _REFUSALS and response.status < 500:
            kind, cause = _REFUSALS[error]
            return Rejected(kind, cause, None, detail)
        if error in ("InvalidParameter", "ParameterValueInvalid") and "PhoneNumber" in text:
            return Rejected("bounced", "recipient", None, detail)
        return aws.refusal(response)

    def validate_credentials(self, credentials: Mapping[str, Any]) -> list[tuple[str, str]]:
        return aws.credential_problems(credentials)

    def check_request(self, config: Config) -> HttpRequest:
        """Whether these credentials may be used, and what the account spends at most."""
        return _call({"Action": "GetSMSAttributes", "Version": _VERSION}, config)

    def checked(self, response: HttpResponse) -> str | None:
        if response.status == 200:
            return None
        return f"SNS answered {response.status} {aws.error_name(response)}: {_said(response)}"


def _call(fields: Mapping[str, str], config: Config) -> HttpRequest:
    headers = (("content-type", "application/x-www-form-urlencoded; charset=utf-8"),)
    body = urlencode(fields).encode("ascii")
    return aws.signed(HttpRequest("POST", f"{aws.endpoint(config, 'sns')}/", headers, body), config, "sns")


def _said(response: HttpResponse) -> str:
    found = _MESSAGE.search(response.body)
    return saying(found[1].decode("utf-8", "replace")) if found else ""


def _wanted(message: Sms, delivery: Delivery, config: Config) -> dict[str, str]:
    """The attributes by their full names; a sender is a number or a name, and each has its own."""
    own = delivery.step.config
    wanted = {name: own.get(short) or config.get(short) for short, name in _ATTRIBUTES.items()}
    kind = str(wanted[_ATTRIBUTES["sms_type"]] or "Transactional").capitalize()
    if kind not in ("Transactional", "Promotional"):
        given.unsupported("sms_type")
    wanted[_ATTRIBUTES["sms_type"]] = kind
    sender = (message.sender or str(config.get("from") or "")).strip()
    if sender:
        wanted[_ORIGINATION if sender.lstrip("+").isdigit() else _ATTRIBUTES["sender_id"]] = sender
    return {name: str(value) for name, value in wanted.items() if value}


def _attributes(wanted: Mapping[str, str]) -> dict[str, str]:
    """Attributes as AWS's query protocol numbers them."""
    fields: dict[str, str] = {}
    for index, (name, value) in enumerate(sorted(wanted.items()), 1):
        entry = f"MessageAttributes.entry.{index}"
        fields[f"{entry}.Name"] = name
        fields[f"{entry}.Value.DataType"] = "Number" if name.endswith(_MONEY) else "String"
        fields[f"{entry}.Value.StringValue"] = value
    return fields
