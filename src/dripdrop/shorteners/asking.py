"""What did a shortener say?  Whatever it does, the answer is a good link or `ShortLinkFailed`."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from dripdrop.contracts import LinkRequest, ShortLink, ShortLinkFailed
from dripdrop.rules.redaction import evidence

MAX_URL = 2_048
# Threads of their own: a function that hangs must not take those in which names are resolved.
_THREADS = ThreadPoolExecutor(16, "dripdrop-links")
_URL = re.compile(r"https?://[^\s/?#\"'<>\\][^\s\"'<>\\\x00-\x1f\x7f]*", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9_]{1,60}")


async def ask(shortener: Any, request: LinkRequest, options: Mapping[str, Any], *, timeout: float) -> ShortLink:
    """The link of a shortener, or of a plain function, within `timeout` seconds.

    Raises `ShortLinkFailed` and nothing else: what was raised otherwise, and silence, is temporary; a link that is none
    is permanent.
    """
    try:
        async with asyncio.timeout(timeout):
            made = await called(getattr(shortener, "create_link", shortener), request, options)
    except ShortLinkFailed as failed:
        raise ShortLinkFailed(
            "permanent" if failed.kind == "permanent" else "temporary", _word(failed.reason)
        ) from None
    except TimeoutError:
        raise ShortLinkFailed("temporary", "timeout") from None
    except Exception as error:
        raise ShortLinkFailed("temporary", _word(f"raised_{type(error).__name__}")) from error
    return checked(made)


async def called(function: Any, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
    """What a function returns that blocks (it is run in a thread) or is awaited."""
    if inspect.iscoroutinefunction(function if inspect.isroutine(function) else function.__call__):
        return as_link(await function(request, options))
    call = partial(copy_context().run, function, request, options)
    answer = await asyncio.get_running_loop().run_in_executor(_THREADS, call)
    return as_link(await answer if inspect.isawaitable(answer) else answer)


def as_link(answer: Any) -> ShortLink:
    """A `ShortLink` as it is; a text or a mapping with `short_url` as one; None for "leave it as it is"."""
    if isinstance(answer, ShortLink):
        return answer
    if answer is None:
        return ShortLink(None, skipped=True)
    if isinstance(answer, str):
        return ShortLink(answer)
    if isinstance(answer, Mapping):
        found = answer.get("short_url") or answer.get("shortUrl")
        return ShortLink(found, answer.get("provider_id"), answer.get("response") or {}, bool(answer.get("skipped")))
    raise ShortLinkFailed("permanent", "no_short_url")


def checked(link: ShortLink) -> ShortLink:
    """The link, fit to be written and kept; raises `ShortLinkFailed` where it is none."""
    if link.skipped:
        return ShortLink(None, skipped=True)
    url = link.short_url
    if not isinstance(url, str) or len(url) > MAX_URL or not _URL.fullmatch(url):
        raise ShortLinkFailed("permanent", "no_short_url")
    identifier = str(link.provider_id)[:200].replace("\x00", "") if link.provider_id is not None else None
    return ShortLink(url, identifier, evidence(link.response))


def _word(text: str) -> str:
    """A reason that may be shown: a word, never a sentence that could hold a secret."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]
    return word if _WORD.fullmatch(word) else "failed"
