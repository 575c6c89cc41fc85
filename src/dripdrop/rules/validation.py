"""What keeps this definition from being published?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dripdrop.errors import Finding
from dripdrop.rules.checks import addressing, content, links, paths, times, waiting
from dripdrop.rules.checks.common import Checks, CheckTemplate, Found, TemplateProblem, later, nearest
from dripdrop.rules.checks.conditions import conditions
from dripdrop.rules.checks.hooks import hooks
from dripdrop.rules.checks.speech import speech
from dripdrop.rules.checks.variables import variables
from dripdrop.rules.definition import CHANNELS, Step
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.keys import WORDS

__all__ = ["CheckTemplate", "Checks", "TemplateProblem", "errors", "findings"]

# What the types can hold already and nothing carries out yet: refused, never silently left undone.
LATER_STEP_KEYS = (
    "concurrency",
    "rate_limits",
    "sending_rules",
)
LATER_SEQUENCE_KEYS = ("pool",)


def findings(
    document: SequenceDocument,
    check_template: CheckTemplate | None = None,
    channels: Collection[str] = CHANNELS,
    *,
    checks: Checks | None = None,
) -> list[Finding]:
    """Every problem of a document, in the order of its steps; warnings have severity `warning`.

    `checks` knows what lies outside the document; `check_template` and `channels` are the short way to say two of them.
    """
    known = checks or Checks(template=check_template, channels=channels)
    found = [*_sequence(document)]
    for step in document.steps:
        at: Path = ("steps", step.key)
        found += _step(document, step, at, known)
        found += speech(document, step, at, known)
    return [
        *found,
        *hooks(document, known),
        *paths.ways(document),
        *paths.whole(document),
        *addressing.unsubscribing(document, known),
        *variables(document, known),
    ]


def errors(found: Sequence[Finding]) -> list[Finding]:
    """Those that forbid publishing."""
    return [finding for finding in found if finding.severity == "error"]


def _sequence(document: SequenceDocument) -> Found:
    yield from _words(document, document.config, ())
    yield from times.hours(document, document.config, ())
    yield from links.short_links(document, document.metadata.get("short_links"), ("metadata", "short_links"))
    yield from waiting.goals(document, document.config)
    yield from times.reentry(document)
    if document.mode == "outbound":
        yield later(document, ("mode",), "Cold outbound")
    for name in LATER_SEQUENCE_KEYS:
        if document.config.get(name):
            yield later(document, (name,), f"`{name}`")


def _step(document: SequenceDocument, step: Step, at: Path, known: Checks) -> Found:
    yield from content.channel(document, step, at, known.channels)
    yield from content.content(document, step, at)
    yield from content.function(document, step, at, known)
    yield from addressing.addressing(document, step, at)
    yield from times.timing(document, step, at)
    yield from waiting.recurrence(document, step, at)
    yield from _words(document, step.config, at)
    yield from times.hours(document, step.config, at)
    yield from conditions(document, step.conditions, step.gate_mode, (*at, "when"))
    retries = step.config.get("retries")
    if retries is not None and (type(retries) is not int or not 0 <= retries <= 1_000):
        cure = "Write how many times to send again after the first, such as 5."
        yield document.finding("retries", (*at, "retries"), "`retries` is no number from 0 to 1000.", cure)
    yield from links.short_links(document, step.config.get("short_links"), (*at, "short_links"), public=known.public)
    for name in LATER_STEP_KEYS:
        if step.config.get(name):
            yield later(document, (*at, name), f"`{name}`")


def _words(document: SequenceDocument, config: Mapping[str, Any], at: Path) -> Found:
    for name, known in WORDS.items():
        value = config.get(name)
        if value is None or any(value is word or (isinstance(word, str) and value == word) for word in known):
            continue
        cure = nearest(str(value), [word for word in known if isinstance(word, str)])
        yield document.finding("unknown_word", (*at, name), f"`{name}` cannot be {str(value)[:40]!r}.", cure)
