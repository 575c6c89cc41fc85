"""Which providers come with the house?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dripdrop.channels.deliver import AnyProvider

__all__ = ["BUILT_IN"]

BUILT_IN: list[AnyProvider]
"""One object per provider of ours, made when first asked for; importing them imports nothing optional."""


def __getattr__(name: str) -> Any:
    if name != "BUILT_IN":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dripdrop.channels.local import CHANNELS, LocalProvider
    from dripdrop.channels.smtp import SmtpProvider
    from dripdrop.channels.webhook import WebhookProvider

    providers: list[Any] = [SmtpProvider(), WebhookProvider(), *map(LocalProvider, CHANNELS)]
    globals()["BUILT_IN"] = providers
    return providers
