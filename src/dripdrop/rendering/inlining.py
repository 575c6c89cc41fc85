"""How do the rules of a style sheet come to stand in the tags they concern?"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from dripdrop.errors import MissingExtra

MAX_DEPTH = 256
MAX_STYLES = 200_000
# Each rule is compared with each tag.
MAX_WORK = 5_000_000

_STYLE = re.compile(r"<style\b[^<>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_HAS_STYLE = re.compile(r"<style\b", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)")
_DOCTYPE = re.compile(r"\s*(<!doctype[^>]*>)\s*", re.IGNORECASE)
# Browsers close these by themselves.
_SHALLOW = frozenset(
    ("area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta", "option", "p",
     "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr")
)  # fmt: skip


def has_styles(html: str) -> bool:
    """Whether there is anything to inline."""
    return _HAS_STYLE.search(html) is not None


def why_not(html: str) -> str | None:
    """Why styles of this HTML stay where they are: it is too deep, or it would take too long."""
    depth = tags = 0
    for found in _TAG.finditer(html):
        tags += 1
        if found[2].lower() not in _SHALLOW:
            depth += -1 if found[1] and depth else 0 if found[1] else 1
            if depth > MAX_DEPTH:
                return f"tags are nested more than {MAX_DEPTH} levels deep"
    styles = "".join(found[1] for found in _STYLE.finditer(html))
    if len(styles) > MAX_STYLES or styles.count("{") * tags > MAX_WORK:
        return "the style sheet is too large for so many tags"
    return None


def inline(html: str, extra: str = "") -> str:
    """The HTML with its styles in the tags, and still in its head for what tags cannot hold; never asks a network.

    The doctype stays. HTML that cannot be worked on within bounds is returned as it is; raises `MissingExtra`.
    """
    if (not extra and not has_styles(html)) or why_not(html) is not None:
        return html
    return _with_doctype_of(html, _run(_inliner(extra, True), html))


def normal(html: str) -> str:
    """The same HTML in the one form in which equal documents are equal texts; needs css-inline."""
    return html if why_not(html) is not None else _run(_inliner("", False), html)


def _run(inliner: Any, html: str) -> str:
    try:
        done: str = inliner.inline(html)
    except Exception:  # a style sheet that cannot be read
        return html
    except BaseException as trouble:
        if type(trouble).__name__ != "PanicException":
            raise
        return html
    return done


@cache
def _made(inlining: bool) -> Any:
    return _new("", inlining)


def _inliner(extra: str, inlining: bool) -> Any:
    return _new(extra, inlining) if extra else _made(inlining)


def _new(extra: str, inlining: bool) -> Any:
    try:
        from css_inline import CSSInliner
    except ImportError:
        raise MissingExtra("Inlining styles", "mjml") from None
    return CSSInliner(
        inline_style_tags=inlining,
        keep_style_tags=True,
        keep_link_tags=True,
        load_remote_stylesheets=False,
        extra_css=extra or None,
    )


def _with_doctype_of(before: str, after: str) -> str:
    said = _DOCTYPE.match(before)
    return (said[1] + "\n" if said else "") + _DOCTYPE.sub("", after, count=1)
