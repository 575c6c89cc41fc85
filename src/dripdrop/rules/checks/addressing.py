"""Can a message reach somebody, from somebody, and can he say that he wants no more?"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from dripdrop.errors import Invalid
from dripdrop.rules import mail_headers
from dripdrop.rules.addresses import parse_address
from dripdrop.rules.checks.common import Checks, Found, nearest
from dripdrop.rules.definition import Step
from dripdrop.rules.document import Path, SequenceDocument

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# To these a message is addressed: by a field of the step, or from the person's data.
_ADDRESSED = ("email", "sms", "whatsapp", "telegram")
_TEMPLATED = re.compile(r"\{\{|\{%")
# A comma in a quoted name separates nothing.
_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,])+')


def addressing(document: SequenceDocument, step: Step, at: Path) -> Found:
    """The addresses, headers and attachments that are written out, as they would go on the wire."""
    fields = step.template
    if step.channel == "email":
        for name in ("to", "cc", "bcc", "from", "reply_to"):
            yield from _addresses(document, fields.get(name), (*at, name))
        if isinstance(fields.get("headers"), Mapping):
            yield from _headers(document, fields["headers"], (*at, "headers"))
    attachments = fields.get("attachments")
    # What is no list is said where its type is.
    for place, each in enumerate(attachments if isinstance(attachments, list) else ()):
        yield from _attachment(document, each, (*at, "attachments", place))
    method = fields.get("method")
    if (
        step.channel == "webhook"
        and isinstance(method, str)
        and method.upper() not in METHODS
        and not _templated(method)
    ):
        cure = nearest(method.upper(), METHODS)
        yield document.finding("unknown_word", (*at, "method"), f"There is no method {method[:40]!r}.", cure)
    yield from _recipient(document, step, at)


def unsubscribing(document: SequenceDocument, known: Checks) -> Found:
    """Marketing must carry a way to unsubscribe."""
    if document.config.get("class") != "marketing":
        return
    if not known.public and any(step.channel == "email" for step in document.steps):
        message = "It is marketing, and without a public address its e-mails carry no link to unsubscribe."
        yield document.finding("no_unsubscribe", ("class",), message, "Set DRIPDROP_PUBLIC_URL.", "warning")
    for step in document.steps:
        if step.channel == "email" and step.config.get("unsubscribe") is False:
            message = "It is marketing, and this step leaves out the link to unsubscribe."
            cure = "Remove `unsubscribe: false`, or write `class: transactional`."
            yield document.finding("no_unsubscribe", ("steps", step.key, "unsubscribe"), message, cure, "warning")


def _addresses(document: SequenceDocument, value: Any, at: Path) -> Found:
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from _addresses(document, each, (*at, place))
    elif isinstance(value, str) and not _templated(value):
        for part in filter(str.strip, _PART.findall(value)):
            yield from _refused(document, at, lambda part=part: parse_address(part.strip(), str(at[-1])))  # type: ignore[misc]


def _headers(document: SequenceDocument, headers: Mapping[str, Any], at: Path) -> Found:
    seen: list[tuple[str, str]] = []
    for name, value in headers.items():
        said = "x" if _templated(str(value)) else str(value)
        before, seen = seen, [*seen, (name, said)]
        found = list(_refused(document, (*at, name), lambda seen=seen: mail_headers.custom(seen)))  # type: ignore[misc]
        yield from found
        # One that is refused must not be found again with each that follows.
        seen = before if found else seen


def _attachment(document: SequenceDocument, value: Any, at: Path) -> Found:
    if not isinstance(value, Mapping):
        return
    given = [name for name in ("content", "base64") if value.get(name) is not None]
    if len(given) != 1:
        message = "An attachment has exactly one of `content` and `base64`."
        yield document.finding("attachment", at, message, "Write `content:` for text, or `base64:` for anything else.")
    elif given == ["base64"] and not _templated(str(value["base64"])):
        try:
            b64decode(value["base64"], validate=True)
        except (binascii.Error, ValueError, TypeError):
            message = "The attachment's `base64` is none."
            yield document.finding("attachment", (*at, "base64"), message, "Encode the file again, in one line.")


def _recipient(document: SequenceDocument, step: Step, at: Path) -> Found:
    """Only a declaration says what data people come with; without one it cannot be known."""
    declared = document.config.get("variables")
    key = str(step.config.get("recipient_key") or step.channel)
    addressed = step.template_type == "module" or step.template.get("to") or step.template.get("chat_id")
    if not declared or addressed or step.channel not in _ADDRESSED:
        return
    if key.split(".")[0] not in {str(each).split(".")[0] for each in declared}:
        message = f"Nobody to write to: there is no `to`, and `variables` names no {key!r}."
        cure = f"Write `to:`, or add {key} to `variables`."
        yield document.finding("missing_recipient", at, message, cure, "warning")


def _refused(document: SequenceDocument, at: Path, check: Callable[[], Any]) -> Found:
    try:
        check()
    except Invalid as trouble:
        yield document.finding(trouble.code, at, trouble.message, trouble.cure)


def _templated(text: str) -> bool:
    return _TEMPLATED.search(text) is not None
