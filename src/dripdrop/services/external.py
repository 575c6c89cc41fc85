"""What do templates say that somebody else keeps?

They are fetched when a definition is applied and become part of the version: what is sent never depends on another
system, the same message can be made again, and a change over there is a new version here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dripdrop.errors import DripDropError, Invalid
from dripdrop.plugins import Plugins
from dripdrop.rules.definition import Step
from dripdrop.rules.document import TEMPLATE_KEYS, SequenceDocument
from dripdrop.rules.reading import read


async def pinned(document: Any, plugins: Plugins, *, timeout: float = 30.0) -> Any:
    """The document with what its external templates say now; anything else as it is.

    Each source is asked once for the step's own words and once for each language of the step, `timeout` seconds long.
    Raises `NotFound` (`unknown_template`) and `Invalid` (`template_source`) with the step.
    """
    wanted = document if isinstance(document, SequenceDocument) else read(document)[0]
    if wanted is None or all(step.template_type != "external" for step in wanted.steps):
        return document
    if wanted is not document and (problems := read(document)[1]):
        raise Invalid(
            f"The definition cannot be read. {problems[0]}",
            cure=problems[0].cure,
            code="cannot_apply",
            findings=problems,
        )
    steps = [
        await _pinned(step, plugins, timeout) if step.template_type == "external" else step for step in wanted.steps
    ]
    return replace(wanted, steps=tuple(steps))


async def _pinned(step: Step, plugins: Plugins, timeout: float) -> Step:
    source, _, name = str(step.template.get("external")).partition("/")
    ask = plugins.get("template", source).fetch
    locales: list[str | None] = [None, *(step.config.get("locales") or {})]
    said = {locale or "": await _fetched(ask, name, locale, step, timeout) for locale in locales}
    return replace(step, template={**step.template, "fetched": said})


async def _fetched(ask: Any, name: str, locale: str | None, step: Step, timeout: float) -> dict[str, Any]:
    cure = f"See that the source knows {name!r}, and returns a mapping of: {', '.join(TEMPLATE_KEYS)}."
    try:
        asked = ask(name, locale) if inspect.iscoroutinefunction(ask) else asyncio.to_thread(ask, name, locale)
        fields = await asyncio.wait_for(asked, timeout)
    except DripDropError:
        raise
    except Exception as trouble:  # a stranger's source may raise anything
        message = f"The template of {step.key} cannot be fetched: {type(trouble).__name__}."
        raise Invalid(message, cure=cure, code="template_source") from trouble
    if fields is None and locale is not None:
        return {}
    if not isinstance(fields, Mapping) or not set(fields) <= set(TEMPLATE_KEYS):
        raise Invalid(f"The source of {step.key} returned no fields of a message.", cure=cure, code="template_source")
    return dict(fields)
