"""Which providers, and which sources of their tokens, come with the house?"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dripdrop.channels.deliver import AnyProvider

__all__ = ["BUILT_IN"]

BUILT_IN: list[EntryPoint | AnyProvider]
"""All of ours. Those of the two tables are imported when their name is first asked for, by the registry."""

_PROVIDERS = {
    "email.django": "email.django_backend:DjangoProvider",
    "email.gmail": "email.gmail:GmailProvider",
    "email.mailersend": "email.mailersend:MailerSendProvider",
    "email.mailgun": "email.mailgun:MailgunProvider",
    "email.ms365": "email.ms365:Ms365Provider",
    "email.postmark": "email.postmark:PostmarkProvider",
    "email.resend": "email.resend:ResendProvider",
    "email.sendgrid": "email.sendgrid:SendGridProvider",
    "email.ses": "email.ses:SesProvider",
    "email.smtp": "smtp:SmtpProvider",
    "sms.aws_sns": "sms.aws_sns:AwsSnsProvider",
    "sms.twilio": "sms.twilio:TwilioProvider",
    "pubsub.postgres": "dripdrop.brokers.postgres:PostgresProvider",
    "pubsub.process": "pubsub.process:ProcessProvider",
    "pubsub.redis": "pubsub.redis:RedisProvider",
    "slack.api": "chat.slack:SlackApiProvider",
    "slack.webhook": "chat.slack:SlackWebhookProvider",
    "telegram.bot_api": "chat.telegram:TelegramProvider",
    "webhook.default": "webhook:WebhookProvider",
    "whatsapp.cloud_api": "chat.whatsapp:WhatsAppProvider",
}
_TOKEN_SOURCES = {
    "client_credentials": "token_sources:ClientCredentialsSource",
    "refresh_token": "token_sources:RefreshTokenSource",
    "service_account": "token_sources:ServiceAccountSource",
}


def __getattr__(name: str) -> Any:
    if name != "BUILT_IN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dripdrop.channels.local import CHANNELS, LocalProvider

    groups = (("dripdrop.providers", _PROVIDERS), ("dripdrop.token_sources", _TOKEN_SOURCES))
    points = [
        EntryPoint(each, place if place.startswith("dripdrop.") else f"dripdrop.channels.{place}", group)
        for group, table in groups
        for each, place in table.items()
    ]
    globals()["BUILT_IN"] = [*points, *map(LocalProvider, CHANNELS)]
    return globals()["BUILT_IN"]
