"""What would this step say to this person, and what would be odd about it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from dripdrop.errors import Finding
from dripdrop.rendering import fields
from dripdrop.rendering.render import Resolver, render
from dripdrop.rules import variation
from dripdrop.rules.definition import Step, Version
from dripdrop.rules.document import SequenceDocument
from dripdrop.rules.message import Email, Message
from dripdrop.store.adapters import Adapter
from dripdrop.store.enrollments import Enrollment

# Gmail shows no more of a message than this.
GMAIL_CLIPS = 102 * 1024

_LINK = re.compile(r"""<a\b[^>]*?\shref\s*=\s*["']([^"']*)["']""", re.IGNORECASE)
_PLAIN_LINK = re.compile(r"https?://[^\s<>()\"']+")
_SAFE_LINK = re.compile(r"(?:https?|mailto|tel|sms):|#|/", re.IGNORECASE)
_NOBODY = {"email": "nobody@example.org", "sms": "+12025550123", "whatsapp": "+12025550123", "telegram": "0"}


class Wishes(TypedDict, total=False):
    """What a preview may be asked for.

    Without `data`, `enrollment` or `subscriber` it is for nobody: each variable shows its name, as `[first_name]`.
    `hooks` are the answers of hooks by name, `event` the data of the event that is waited for.
    """

    data: Mapping[str, Any] | None
    enrollment: Enrollment | UUID | None
    subscriber: Any
    hooks: Mapping[str, Any]
    event: Mapping[str, Any]
    locale: str | None
    variant: str | None
    now: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as it would go out, and what there is to know about it.

    `missing` names the variables that were printed and are not there (for nobody: all of them); `html_bytes` is the
    size of the HTML, `links` are where it leads; `warnings` forbid nothing.
    """

    sequence: str
    step: str
    message: Message
    locale: str | None = None
    variant: str | None = None
    missing: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    html_bytes: int = 0
    warnings: list[Finding] = field(default_factory=list)


def preview(
    version: Version,
    step: Step,
    wishes: Wishes,
    *,
    now: datetime,
    person: Enrollment | None = None,
    adapter: Adapter | None = None,
    public_url: str | None = None,
    unsubscribe_mailto: str | None = None,
    resolve: Resolver | None = None,
    sms_max_chars: int | None = 1600,
) -> Preview:
    """The message of a step by the path that sending takes; raises `Invalid` as rendering does. Nothing is written."""
    enrollment = str(person.id) if person else "preview"
    data, said, missing = _spoken(version, step, wishes, person, enrollment)
    message = render(
        step,
        version,
        data=data,
        system=_system(version, person, data, enrollment),
        now=wishes.get("now") or now,
        message_id="preview@dripdrop.invalid" if step.channel == "email" else None,
        default_from=(adapter.config.get("from") if adapter else None) or "preview@example.org",
        unsubscribe_url=_unsubscribe(step, version, public_url),
        unsubscribe_mailto=unsubscribe_mailto,
        public_url=public_url,
        sms_max_chars=sms_max_chars,
        answers=wishes.get("hooks") or {},
        event=wishes.get("event") or {},
        resolve=resolve,
        missing=missing.append,
        said_in=said,
    )
    return report(
        Preview(version.sequence_key, step.key, message, said.locale, said.variant, sorted({*missing})), version, step
    )


def _spoken(
    version: Version, step: Step, wishes: Wishes, person: Enrollment | None, enrollment: str
) -> tuple[dict[str, Any], variation.Variation, list[str]]:
    """With which data, in which variation; for nobody, each variable is missing and is its own name."""
    wished = wishes.get("data")
    nobody = person is None and wished is None
    data = _nobody(version, step) if nobody else {**(person.data if person else {}), **(wished or {})}
    said = variation.chosen(step, data, enrollment, locale=wishes.get("locale"), variant=wishes.get("variant"))
    missing = _names(version, step, said) if nobody else []
    return {**_named(missing), **data}, said, missing


def report(shown: Preview, version: Version, step: Step) -> Preview:
    """The same with links, size and warnings of its message."""
    message = shown.message
    html = message.html if isinstance(message, Email) else None
    text = getattr(message, "text", None) or getattr(message, "body", None) or ""
    links = [each.replace("&amp;", "&") for each in _LINK.findall(html)] if html else _PLAIN_LINK.findall(text)
    size = len(html.encode()) if html else 0
    links = list(dict.fromkeys(links))
    warnings = list(_warnings(message, version, step, size, links))
    return Preview(
        shown.sequence, shown.step, message, shown.locale, shown.variant, shown.missing, links, size, warnings
    )


def version_of(document: SequenceDocument, tenant_key: str = "") -> Version:
    """A version of a document that no database holds."""
    return Version(
        UUID(int=0), UUID(int=0), document.key, document.name, tenant_key, 0, "draft", document.mode, document.steps,
        document.transitions, document.config, document.hook_module, document.metadata,
    )  # fmt: skip


def _system(version: Version, person: Enrollment | None, data: Mapping[str, Any], enrollment: str) -> dict[str, Any]:
    return {
        "subscriber_id": person.subscriber_id if person else data.get("id"),
        "subscriber_type": person.subscriber_type if person else None,
        "enrollment_id": enrollment,
        "execution_id": enrollment,
        "visit": 1,
        "sequence_name": version.sequence_name,
    }


def _unsubscribe(step: Step, version: Version, public_url: str | None) -> str | None:
    if version.transactional or not public_url or step.config.get("unsubscribe") is False:
        return None
    return f"{public_url.rstrip('/')}/u/preview"


def _nobody(version: Version, step: Step) -> dict[str, Any]:
    """An address to write to where there is no person."""
    key = str(step.config.get("recipient_key") or step.channel)
    return {key: _NOBODY[step.channel]} if step.channel in _NOBODY else {}


def _names(version: Version, step: Step, said: variation.Variation) -> list[str]:
    """Every variable that the step names and nothing but a person brings."""
    if step.template_type == "module":
        return []
    system = {*_system(version, None, {}, ""), "now", "today", "now_iso8601", "unsubscribe_url", "public_url"}
    system |= {"sequence_key", "step_key", "tenant_key", *(step.config.get("template_variables") or {})}
    found = fields.names(step, version.tenant_key == "", said)
    return [name for name in found if name.split(".")[0] not in system]


def _named(names: list[str]) -> dict[str, Any]:
    """Data in which each name stands for itself: `user.name` is `[user.name]`."""
    data: dict[str, Any] = {}
    for name in sorted(names, key=lambda each: -each.count(".")):
        inner, (*path, last) = data, name.split(".")
        for segment in path:
            following = inner.setdefault(segment, {})
            inner = following if isinstance(following, dict) else {}
        inner.setdefault(last, f"[{name}]")
    return data


def _warnings(message: Message, version: Version, step: Step, size: int, links: list[str]) -> Iterator[Finding]:
    at = f"steps.{step.key}"
    if size > GMAIL_CLIPS:
        yield Finding(
            code="gmail_clips", path=at, message=f"The HTML has {size // 1024} KB; Gmail cuts it off after 102 KB.",
            cure="Shorten it, or move images and styles out of it.", severity="warning",
        )  # fmt: skip
    headers = {name.lower() for name, _ in message.headers} if isinstance(message, Email) else {"list-unsubscribe"}
    if "list-unsubscribe" not in headers and not version.transactional:
        yield Finding(
            code="no_unsubscribe", path=at, message="Nobody can unsubscribe by a click.",
            cure="Set DRIPDROP_PUBLIC_URL, or `class: transactional` where nobody may.", severity="warning",
        )  # fmt: skip
    for link in links:
        if not _SAFE_LINK.match(link):
            yield Finding(
                code="odd_link", path=at, message=f"A link leads to {link[:60]!r}.",
                cure="Write it with https://.", severity="warning",
            )  # fmt: skip
