"""Which providers come with the house?"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dripdrop.channels.deliver import AnyProvider

__all__ = ["BUILT_IN"]

BUILT_IN: list[EntryPoint | AnyProvider]
"""All of ours. Those of `_PROVIDERS` are imported when their name is first asked for, by the registry."""

_PROVIDERS = {
    "email.mailgun": "email.mailgun:MailgunProvider",
    "email.postmark": "email.postmark:PostmarkProvider",
    "email.sendgrid": "email.sendgrid:SendGridProvider",
    "email.smtp": "smtp:SmtpProvider",
    "webhook.default": "webhook:WebhookProvider",
}


def __getattr__(name: str) -> Any:
    if name != "BUILT_IN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dripdrop.channels.local import CHANNELS, LocalProvider

    points = [
        EntryPoint(each, f"dripdrop.channels.{place}", "dripdrop.providers") for each, place in _PROVIDERS.items()
    ]
    globals()["BUILT_IN"] = [*points, *map(LocalProvider, CHANNELS)]
    return globals()["BUILT_IN"]
