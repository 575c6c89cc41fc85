"""Which shorteners come with the house?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dripdrop.contracts import ShortLinkAdapter
from dripdrop.shorteners.builtin import BuiltInShortener
from dripdrop.shorteners.function import FunctionShortener
from dripdrop.shorteners.nothing import NoShortener
from dripdrop.shorteners.webhook import WebhookShortener


def built_in(secrets: Callable[[], Sequence[bytes]]) -> list[ShortLinkAdapter]:
    """One object per shortener of ours; `secrets` is asked at each link, newest first."""
    return [BuiltInShortener(secrets), WebhookShortener(), FunctionShortener(), NoShortener()]
