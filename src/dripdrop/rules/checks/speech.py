"""Is what a step says well made, in every language and every variant?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dripdrop.errors import Finding
from dripdrop.rules import spintax, variation
from dripdrop.rules.checks import content
from dripdrop.rules.checks.common import Checks, Found, MarkupProblem
from dripdrop.rules.definition import Step
from dripdrop.rules.document import Path, SequenceDocument

_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_SPINTAX_CURE = "Match the braces, or write \\{ and \\} where they are text."


def speech(document: SequenceDocument, step: Step, at: Path, known: Checks) -> Found:
    """Templates, markup and alternatives of all that the step may say, and the choice between them."""
    said = variation.spoken(step, variation.OWN) if step.template_type == "external" else step
    yield from _fields(document, step, said.template, at, known)
    for where, fields in _others(step):
        yield from _fields(document, step, fields, (*at, *where), known)
    yield from _languages(document, step, at)
    yield from _variants(document, step, at)
    if step.template_type == "inline" or step.template.get("fetched"):
        yield from _lacking(document, step, at)


def _others(step: Step) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The fields of every language and variant, and where they are written."""
    yield from _locales(step.config.get("locales"), ("locales",))
    for place, (_, _, variant) in enumerate(variation.named(step)):
        yield ("variants", place), {name: each for name, each in variant.items() if name not in variation.VARIANT_KEYS}
        yield from _locales(variant.get("locales"), ("variants", place, "locales"))


def _locales(locales: Any, at: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for locale, fields in locales.items() if isinstance(locales, Mapping) else ():
        if isinstance(fields, Mapping):
            yield (*at, str(locale)), fields


def _fields(document: SequenceDocument, step: Step, fields: Mapping[str, Any], at: Path, known: Checks) -> Found:
    for name, value in fields.items():
        here = (*at, name)
        is_html = name == "html" and step.channel == "email" and isinstance(value, str)
        spins = spintax.spins(step, name, value)
        if spins:
            yield from _alternatives(document, value, here, is_html)
        if known.template is not None:
            yield from content.templates(document, _spun(value, is_html) if spins else value, here, known.template)
        if is_html and known.markup is not None:
            for problem in known.markup(_spun(value, True) if spins else value):
                yield _told(document, problem, here)


def _told(document: SequenceDocument, problem: MarkupProblem, at: Path) -> Finding:
    place = f" (line {problem.line} of the template)" if problem.line else ""
    return document.finding(problem.code, at, f"{problem.message}{place}.", problem.cure, problem.severity)


def _alternatives(document: SequenceDocument, value: Any, at: Path, html: bool) -> Found:
    for here, text in _texts(value, at):
        for trouble in spintax.problems(text, html=html):
            severity = "warning" if trouble.code == "spintax_empty" else "error"
            message = f"{trouble.message} (line {trouble.line} of the template)."
            yield document.finding(trouble.code, here, message, _SPINTAX_CURE, severity)


def _texts(value: Any, at: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, (*at, str(name)))
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from _texts(inner, (*at, place))


def _spun(value: Any, html: bool) -> Any:
    if isinstance(value, str):
        return spintax.as_liquid(value, html=html).text
    if isinstance(value, Mapping):
        return {name: _spun(inner, html) for name, inner in value.items()}
    return [_spun(inner, html) for inner in value] if isinstance(value, (list, tuple)) else value


def _languages(document: SequenceDocument, step: Step, at: Path) -> Found:
    for where, fields in _others(step):
        if where[-2] != "locales":
            continue
        if not _LOCALE.fullmatch(str(where[-1])):
            cure = "Write a language, and perhaps a country: de, de-AT, pt-BR."
            yield document.finding("locale", (*at, *where), f"{str(where[-1])[:40]!r} is no language.", cure)
        says_body = any(fields.get(name) for name in ("text", "html"))
        if step.channel == "email" and says_body and not fields.get("subject"):
            message = "The body has this language, the subject has not."
            yield document.finding("locale_subject", (*at, *where), message, "Write its subject too.", "warning")


def _variants(document: SequenceDocument, step: Step, at: Path) -> Found:
    variants = variation.named(step)
    here: Path = (*at, "variants")
    if variants and not any(weight for _, weight, _ in variants):
        cure = "Give one of them a weight above 0."
        yield document.finding("variant_weight", here, "No variant has a weight.", cure)
    seen: set[str] = set()
    own = step.config.get("locales") or {}
    for place, (name, _, fields) in enumerate(variants):
        weight = fields.get("weight", 1)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
            cure = "Write a number: a variant of weight 2 is taken twice as often as one of weight 1."
            yield document.finding("variant_weight", (*here, place, "weight"), "The weight is no number from 0.", cure)
        if name in seen:
            yield document.finding("duplicate_variant", (*here, place), f"Two variants are called {name!r}.", "Rename.")
        seen.add(name)
        written = set(fields) - set(variation.VARIANT_KEYS)
        hidden = [key for key, each in own.items() if isinstance(each, Mapping) and written and written <= set(each)]
        hidden = [key for key in hidden if key not in (fields.get("locales") or {})]
        if hidden:
            message = f"In {', '.join(map(str, hidden))} nobody gets this variant: the step's own words are taken."
            cure = "Write `locales:` in the variant too."
            yield document.finding("variant_hidden", (*here, place), message, cure, "warning")


def _lacking(document: SequenceDocument, step: Step, at: Path) -> Found:
    """What a message of the step would lack, in some language or variant only."""
    own = {finding.code for finding in content.content(document, step, at)}
    told = set(own)
    for said in variation.all_of(step):
        for finding in content.content(document, variation.spoken(step, said), at):
            if finding.code not in told:
                told.add(finding.code)
                named = " and ".join(f"{each!r}" for each in (said.locale, said.variant) if each)
                message = f"{finding.message.rstrip('.')} in {named}."
                yield document.finding(finding.code, at, message, finding.cure)
