"""In which language, and in which of its variants, does a step speak to this person?

A step's own fields are the first, those that are written above those of an external template. A variant writes over
them, the person's language over both, and the variant's own words in that language over all. Who writes one of `text`
and `html` replaces both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dripdrop.rules.definition import Step

LOCALE_FIELD = "locale"
MAX_VARIANTS = 26

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_BODIES = ("text", "html")
# What a variant says of itself.
VARIANT_KEYS = ("name", "weight", "locales")


@dataclass(frozen=True, slots=True)
class Variation:
    """The language and the variant that were chosen; None is the step's own."""

    locale: str | None = None
    variant: str | None = None


OWN = Variation()


def varies(step: Step) -> bool:
    """Whether the step speaks differently to different people, apart from their data."""
    return bool(step.config.get("locales") or step.config.get("variants"))


def chosen(
    step: Step, data: Mapping[str, Any], enrollment: object, *, locale: str | None = None, variant: str | None = None
) -> Variation:
    """The language of the person's data and the variant of the enrollment: always the same one for both.

    The language is looked for in `locale`, or where `locale_field` says; `de-AT` takes `de` where there is no `de-AT`.
    `locale` and `variant` ask for certain ones.
    """
    own = step.config
    wanted = locale if locale is not None else data.get(own.get("locale_field") or LOCALE_FIELD)
    drawn = variant if variant is not None else _drawn(named(step), f"{enrollment}:{step.key}")
    return Variation(_nearest(_locales(step, drawn), wanted), drawn)


def spoken(step: Step, variation: Variation) -> Step:
    """The step as it speaks then."""
    written: dict[str, Any] = dict(step.template)
    fetched: Mapping[str, Any] = {}
    if step.template_type == "external":
        fetched = written.pop("fetched", None) or {}
        written.pop("external", None)
        written = {**fetched.get("", {}), **written}
    variant = next((each for name, _, each in named(step) if name == variation.variant), {})
    _write(written, {name: value for name, value in variant.items() if name not in VARIANT_KEYS})
    for locales in (fetched, step.config.get("locales"), variant.get("locales")):
        _write(written, _in_locale(locales, variation.locale))
    return replace(step, template=written)


def named(step: Step) -> list[tuple[str, float, Mapping[str, Any]]]:
    """Each variant with its name and weight; without a name it is `a`, `b`, `c`, in order."""
    variants = step.config.get("variants")
    if not isinstance(variants, Sequence) or isinstance(variants, str):
        return []
    found = []
    for place, each in enumerate(variants[:MAX_VARIANTS]):
        if isinstance(each, Mapping):
            weight = each.get("weight", 1)
            usable = isinstance(weight, (int, float)) and not isinstance(weight, bool) and weight > 0
            found.append((str(each.get("name") or _LETTERS[place]), float(weight) if usable else 0.0, each))
    return found


def all_of(step: Step) -> list[Variation]:
    """Every way in which the step may speak."""
    drawn: list[str | None] = [name for name, _, _ in named(step)] or [None]
    return [Variation(locale, variant) for variant in drawn for locale in (None, *_locales(step, variant))]


def _drawn(variants: list[tuple[str, float, Mapping[str, Any]]], seed: str) -> str | None:
    total = sum(weight for _, weight, _ in variants)
    if not total:
        return variants[0][0] if variants else None
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") / 2**64 * total
    weighty = [(name, weight) for name, weight, _ in variants if weight]
    for name, weight in weighty:
        share -= weight
        if share < 0:
            return name
    return weighty[-1][0]


def _locales(step: Step, variant: str | None) -> list[str]:
    own = step.config.get("locales")
    more = next((each.get("locales") for name, _, each in named(step) if name == variant), None)
    return [*dict.fromkeys(str(key) for each in (own, more) if isinstance(each, Mapping) for key in each)]


def _nearest(known: list[str], wanted: Any) -> str | None:
    if not known or not isinstance(wanted, str):
        return None
    by_key = {_key(each): each for each in known}
    key = _key(wanted)
    while key and key not in by_key:
        key = key.rpartition("-")[0]
    return by_key.get(key)


def _in_locale(locales: Any, locale: str | None) -> Mapping[str, Any]:
    if locale is None or not isinstance(locales, Mapping):
        return {}
    own = next((each for key, each in locales.items() if _key(str(key)) == _key(locale)), None)
    return own if isinstance(own, Mapping) else {}


def _key(locale: str) -> str:
    return locale.strip().replace("_", "-").lower()


def _write(into: dict[str, Any], over: Mapping[str, Any]) -> None:
    # A text in one language beside HTML in another would be two messages.
    if any(over.get(name) for name in _BODIES):
        for name in _BODIES:
            into.pop(name, None)
    into.update(over)
