"""What does a step say in each of its fields, once its templates are compiled?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.rendering.templates import Template, compile_template
from dripdrop.rendering.text_part import text_of, text_template, tidy
from dripdrop.rules.definition import Step

ADDRESS_FIELDS = ("to", "cc", "bcc", "from", "reply_to")

# Commas inside `{{ }}` and quoted names separate nothing.
_PART = re.compile(r'(?:\{\{.*?\}\}|\{%.*?%\}|"(?:[^"\\]|\\.)*"|[^,])+', re.DOTALL)

Node: TypeAlias = Any
Report: TypeAlias = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step's fields as templates: each a `Template`, or a mapping, list or scalar of them."""

    step: Step
    fields: tuple[tuple[str, Node, str], ...]
    text: Template | None
    text_from_html: bool
    addressed: bool

    def render(self, variables: Mapping[str, Any], missing: Report | None = None) -> dict[str, Any]:
        """Every field's value; the text part of an e-mail is made from its HTML where there is none."""
        said = {name: _render(node, variables, missing, path) for name, node, path in self.fields}
        if self.text_from_html:
            html = said.get("html") or ""
            said["text"] = tidy(self.text.render(variables)) if self.text is not None else text_of(html)
        return said

    def render_only(self, names: Sequence[str], variables: Mapping[str, Any]) -> dict[str, Any]:
        """The values of some fields."""
        return {name: _render(node, variables, None, path) for name, node, path in self.fields if name in names}


_cache: dict[tuple[UUID, bool], Compiled] = {}


def compiled(step: Step, trusted: bool = True) -> Compiled:
    """The step's templates, compiled once for each step; raises `Invalid` (`template`) with the field and line."""
    key = (step.id, trusted)
    known = _cache.get(key)
    # A draft keeps its id while its text changes.
    if known is not None and (known.step is step or known.step == step):
        return known
    if len(_cache) > 4096:
        _cache.clear()
    made = _cache[key] = _compile_step(step, trusted)
    return made


def _compile_step(step: Step, trusted: bool) -> Compiled:
    fields = tuple(
        (name, _compile(name, value, step.channel, trusted, path), path)
        for name, value in step.template.items()
        for path in (f"{step.key}.{name}",)
    )
    html = step.template.get("html")
    derived = step.channel == "email" and isinstance(html, str) and not step.template.get("text")
    return Compiled(
        step,
        fields,
        _text_template(html, trusted) if derived and isinstance(html, str) else None,
        derived,
        any(name in step.template for name in ("to", "cc", "bcc", "chat_id")),
    )


def _compile(name: str, value: Any, channel: str, trusted: bool, path: str) -> Node:
    if name in ADDRESS_FIELDS and isinstance(value, str):
        return [_compile("", part.strip(), channel, trusted, path) for part in _PART.findall(value)]
    if isinstance(value, str):
        # Only HTML is escaped: a subject with &amp; in it would be read so.
        return compile_template(value, escape=name == "html" and channel == "email", trusted=trusted, path=path)
    if isinstance(value, Mapping):
        return {str(key): _compile("", inner, channel, trusted, f"{path}.{key}") for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_compile("", inner, channel, trusted, f"{path}[{index}]") for index, inner in enumerate(value)]
    return value


def _text_template(html: str, trusted: bool) -> Template | None:
    text = text_template(html)
    try:
        return compile_template(text, trusted=trusted) if text is not None else None
    except Invalid:
        # A tag stood where no text is, so its other half stands alone.
        return None


def _render(node: Node, variables: Mapping[str, Any], missing: Report | None, path: str) -> Any:
    if isinstance(node, Template):
        return node.render(variables, missing, path)
    if isinstance(node, dict):
        return {key: _render(inner, variables, missing, path) for key, inner in node.items()}
    if isinstance(node, list):
        return [_render(inner, variables, missing, path) for inner in node]
    return node
