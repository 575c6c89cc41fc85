"""Who is meant, and can what is said of them be kept?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from dripdrop.errors import Invalid
from dripdrop.store import enrollments

Subscriber: TypeAlias = tuple[str, Any] | Mapping[str, Any]
LONGEST_ID = 255
# How JSON writes the one character that PostgreSQL cannot hold; a backslash before it would be escaped itself.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def who(subscriber: Any) -> tuple[str, str]:
    """The (type, id) of a subscriber given as a pair or as `{type, id}`; raises Invalid (`missing_subscriber`)."""
    kind, name = (
        (subscriber.get("type"), subscriber.get("id"))
        if isinstance(subscriber, Mapping)
        else subscriber
        if isinstance(subscriber, (tuple, list)) and len(subscriber) == 2
        else (None, None)
    )
    pair = ("" if kind is None else str(kind).strip(), "" if name is None else str(name).strip())
    if not all(pair) or max(map(len, pair)) > LONGEST_ID or not storable("".join(pair)):
        raise Invalid(
            "A subscriber is a type and an id, such as ('user', 42).", cure="Give both.", code="missing_subscriber"
        )
    return pair


def storable(text: str) -> bool:
    """Whether the database can hold this text: no NUL, and nothing that UTF-8 cannot say."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:
        return False


def checked_data(data: Any) -> Mapping[str, Any]:
    """The data of a person: a mapping that JSON can hold; raises Invalid (`bad_data`)."""
    if data is None or data == {}:
        return {}
    if not isinstance(data, Mapping):
        raise Invalid("A person's data is a mapping of fields.", cure="Give a dict.", code="bad_data")
    try:
        text = enrollments.dumps(data)
    except (TypeError, ValueError) as error:
        raise Invalid(f"The data cannot be kept as JSON: {error}.", cure="Use plain values.", code="bad_data") from None
    if "\\u0000" in text and _NUL.search(text):
        raise Invalid("The data holds a NUL character.", cure="Remove it.", code="bad_data")
    return data
