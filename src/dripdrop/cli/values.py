"""How is a value written on a command line or into a pipe: a subscriber, data, credentials?"""

from __future__ import annotations

import os
import stat
import sys
from io import StringIO
from typing import Any

import click
import orjson


class SubscriberType(click.ParamType):  # type: ignore[type-arg]
    """`user:42` is the subscriber 42 of type user; without a type it is a user."""

    name = "type:id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        kind, colon, name = str(value).partition(":")
        if not colon:
            kind, name = "user", kind
        if not kind.strip() or not name.strip():
            self.fail("write it as type:id, such as user:42.", param, ctx)
        return kind.strip(), name.strip()


SUBSCRIBER = SubscriberType()


def mapping(texts: tuple[str, ...], option: str) -> dict[str, Any]:
    """Data from `key=text`, `key:=JSON` and whole JSON objects, later ones over earlier ones."""
    found: dict[str, Any] = {}
    for text in texts:
        found.update(_object(text, option) if text.lstrip().startswith("{") else dict([_pair(text, option)]))
    return found


def piped() -> dict[str, Any] | None:
    """Credentials from standard input: a JSON object, or a line `key=value` each; None where nothing is piped in."""
    text = _standard_input().strip()
    if not text:
        return None
    if text.startswith("{"):
        return _object(text, "standard input")
    lines = [line.strip() for line in text.splitlines()]
    # The value is a secret: a line that cannot be read is counted, never repeated.
    wrong = [str(number) for number, line in enumerate(lines, 1) if line and line[0] != "#" and "=" not in line]
    if wrong:
        raise click.UsageError(
            f"Credentials come as one JSON object or as key=value lines; line {', '.join(wrong)} is neither."
        )
    split = [line.partition("=") for line in lines if line and line[0] != "#"]
    return {key.strip(): value.strip() for key, _, value in split}


def _standard_input() -> str:
    """What was piped in or redirected; a terminal, or a service's empty input, is not waited for."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return sys.stdin.getvalue() if isinstance(sys.stdin, StringIO) else ""
    return sys.stdin.read() if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) else ""


def _object(text: str, option: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise click.UsageError(f"{option}: this is no JSON (at character {problem.pos + 1}).") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{option}: the JSON must be an object.")
    return value


def _pair(text: str, option: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip(":").strip():
        raise click.UsageError(f"{option}: {text!r} is neither key=value, key:=JSON nor a JSON object.")
    if not key.endswith(":"):
        return key.strip(), value
    try:
        return key[:-1].strip(), orjson.loads(value)
    except orjson.JSONDecodeError:
        raise click.UsageError(f"{option}: {value!r} after {key}= is no JSON.") from None
