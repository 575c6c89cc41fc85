"""Can a step say what it is to say, on its channel?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dripdrop.rules.checks.common import Checks, CheckTemplate, Found, blank, nearest
from dripdrop.rules.definition import Step
from dripdrop.rules.document import Path, SequenceDocument
from dripdrop.rules.variation import OWN, spoken

BODIES: Mapping[str, tuple[str, ...]] = {
    "email": ("text", "html"),
    "sms": ("body",),
    "slack": ("text", "body"),
    "telegram": ("text", "body"),
    "whatsapp": ("text", "body", "payload"),
}


def channel(document: SequenceDocument, step: Step, at: Path, channels: Collection[str]) -> Found:
    """A channel that is there, and one adapter at most."""
    if not step.channel:
        yield document.finding("missing_channel", at, "The step has no channel.", f"One of: {', '.join(channels)}.")
    elif step.channel not in channels:
        cure = nearest(step.channel, tuple(channels))
        yield document.finding("unknown_channel", (*at, "channel"), f"There is no channel {step.channel!r}.", cure)
    if step.adapter and step.adapter_override:
        message = "`adapter` and `adapter_override` exclude each other."
        yield document.finding("two_adapters", (*at, "adapter_override"), message, "Keep one of them.")


def function(document: SequenceDocument, step: Step, at: Path, known: Checks) -> Found:
    """The function of a module template, where the host's code is at hand."""
    if step.template_type == "module" and known.function is not None:
        problem = known.function(str(step.template.get("module") or ""), str(step.template.get("function") or ""))
        if problem is not None:
            cure = "Name a function as module:function, importable here (see --app)."
            yield document.finding("template_module", (*at, "template"), problem, cure)


def content(document: SequenceDocument, step: Step, at: Path) -> Found:
    """The fields that the channel cannot do without."""
    if step.template_type == "module" or (step.template_type == "external" and not step.template.get("fetched")):
        return
    step = spoken(step, OWN) if step.template_type == "external" else step
    if step.channel == "email" and blank(step.template.get("subject")):
        yield document.finding("missing_subject", at, "The e-mail has no subject.", "Write `subject:`.")
    bodies = BODIES.get(step.channel, ())
    if bodies and all(blank(step.template.get(name)) for name in bodies):
        yield document.finding("missing_body", at, "The step says nothing.", f"Write `{bodies[0]}:`.")
    for name in ("topic", "event") if step.channel == "pubsub" else ():
        if blank(step.template.get(name)):
            yield document.finding(f"missing_{name}", at, f"The message has no {name}.", f"Write `{name}:`.")


def templates(document: SequenceDocument, value: Any, at: Path, check: CheckTemplate) -> Found:
    """What is wrong with the templates in a value, however deep they stand."""
    if isinstance(value, str):
        for problem in check(value):
            place = f" (line {problem.line} of the template)" if problem.line else ""
            yield document.finding("template", at, f"{problem.message}{place}.", "Mend the Liquid template.")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from templates(document, inner, (*at, str(name)), check)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from templates(document, inner, (*at, index), check)
