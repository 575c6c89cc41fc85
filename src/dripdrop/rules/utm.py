"""How does a link say which message it came from?"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote_plus, unquote_plus

NAMES = ("source", "medium", "campaign", "content", "term", "id")


def tagged(url: str, tags: Mapping[str, str], *, overwrite: bool = False) -> str:
    """The address with these parameters at the end of its query; the rest of it stays as it is, to the character.

    A parameter that is there already is kept, unless `overwrite` says that ours replaces it.
    """
    address, mark, fragment = url.partition("#")
    path, _, query = address.partition("?")
    pairs = query.removesuffix("&").split("&") if query.removesuffix("&") else []
    there = {_name(pair) for pair in pairs}
    adding = {name: value for name, value in tags.items() if overwrite or name not in there}
    if not adding:
        return url
    kept = [pair for pair in pairs if _name(pair) not in adding]
    return (
        f"{path}?{'&'.join([*kept, *(f'{quote_plus(n)}={quote_plus(v)}' for n, v in adding.items())])}{mark}{fragment}"
    )


def _name(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
