"""What does a step say in each of its fields, once its templates are compiled?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from dripdrop.errors import Invalid
from dripdrop.rendering.html_part import PerMessage, html_part
from dripdrop.rendering.templates import Template, compile_template
from dripdrop.rendering.text_part import text_of, text_template, tidy
from dripdrop.rules import spintax, variation
from dripdrop.rules.definition import Step
from dripdrop.rules.variation import OWN, Variation

ADDRESS_FIELDS = ("to", "cc", "bcc", "from", "reply_to")

# Commas inside `{{ }}` and quoted names separate nothing.
_PART = re.compile(r'(?:\{\{.*?\}\}|\{%.*?%\}|"(?:[^"\\]|\\.)*"|[^,])+', re.DOTALL)

Node: TypeAlias = Any
Report: TypeAlias = Callable[[str], Any]
Variables: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """A template whose alternatives are chosen anew for each message."""

    template: Template | PerMessage
    groups: tuple[int, ...]

    def render(self, variables: Variables, missing: Report | None, path: str, seed: str) -> str:
        return self.template.render(self.given(variables, path, seed), missing, path)

    def given(self, variables: Variables, path: str, seed: str) -> Variables:
        """The variables together with what was chosen."""
        return {**variables, spintax.PICKS: spintax.picks(f"{seed}:{path}", self.groups)}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A step's fields as templates: each a `Template`, or a mapping, list or scalar of them."""

    step: Step
    fields: tuple[tuple[str, Node, str], ...]
    text: Template | None
    text_from_html: bool
    addressed: bool
    varied: bool = False
    constant: Mapping[str, str] | None = None

    def render(self, variables: Variables, missing: Report | None = None, seed: str = "") -> dict[str, Any]:
        """Every field's value; the text part of an e-mail is made from its HTML where there is none."""
        said = {name: _render(node, variables, missing, path, seed) for name, node, path in self.fields}
        if self.text_from_html:
            said["text"] = self._text(said.get("html") or "", variables, seed)
        return said

    def render_only(self, names: Sequence[str], variables: Variables) -> dict[str, Any]:
        """The values of some fields."""
        return {name: _render(node, variables, None, path, "") for name, node, path in self.fields if name in names}

    def _text(self, html: str, variables: Variables, seed: str) -> str:
        if self.text is None:
            return text_of(html)
        node, path = next((node, path) for name, node, path in self.fields if name == "html")
        if isinstance(node, Alternatives):
            # Both parts say the same.
            variables = node.given(variables, path, seed)
        # A link whose address is not there leaves nothing between its brackets.
        return tidy(self.text.render(variables).replace(" ()", ""))


_cache: dict[tuple[UUID, bool, Variation], Compiled] = {}
# The same by identity, in a step's own words; it is kept beside them, so that its id stays its own.
_lately: dict[tuple[int, bool], tuple[Step, Compiled]] = {}
_MOST = 4096


def compiled(step: Step, trusted: bool = True, said: Variation = OWN) -> Compiled:
    """The step's templates, compiled once for each step and variation; raises `Invalid` with the field and line."""
    if said is not OWN:
        return _compiled(step, trusted, said)
    lately = _lately.get((id(step), trusted))
    if lately is None or lately[0] is not step:
        if len(_lately) > _MOST:
            _lately.clear()
        lately = _lately[id(step), trusted] = (step, _compiled(step, trusted, said))
    return lately[1]


def _compiled(step: Step, trusted: bool, said: Variation) -> Compiled:
    key = (step.id, trusted, said)
    known = _cache.get(key)
    # A draft keeps its id while its text changes.
    if known is not None and (known.step is step or known.step == step):
        return known
    if len(_cache) > _MOST:
        _cache.clear()
    made = _cache[key] = _compile_step(step, trusted, said)
    return made


def names(step: Step, trusted: bool, said: Variation) -> list[str]:
    """Every variable that the step's templates name, as `user.name`, sorted."""
    return sorted({name for _, node, _ in compiled(step, trusted, said).fields for name in _names(node)})


def _names(node: Node) -> Iterator[str]:
    if isinstance(node, (Template, PerMessage)):
        yield from node.variables()
    elif isinstance(node, Alternatives):
        yield from (name for name in node.template.variables() if not name.startswith(spintax.PICKS))
    elif isinstance(node, (dict, list)):
        for inner in node.values() if isinstance(node, dict) else node:
            yield from _names(inner)


def _compile_step(step: Step, trusted: bool, said: Variation) -> Compiled:
    spoken = step if said == OWN and step.template_type == "inline" else variation.spoken(step, said)
    template = spoken.template
    fields = tuple(
        (name, _compile(name, value, _Manner(step, trusted, spintax.spins(step, name, value)), path), path)
        for name, value in template.items()
        for path in (f"{step.key}.{name}",)
    )
    html = next((node for name, node, _ in fields if name == "html"), None)
    derived = step.channel == "email" and html is not None and not template.get("text")
    text = _text_template(html, trusted) if derived else None
    addressed = any(name in template for name in ("to", "cc", "bcc", "chat_id"))
    return Compiled(step, fields, text, derived, addressed, variation.varies(step), None if derived else _said(fields))


def _said(fields: Sequence[tuple[str, Node, str]]) -> Mapping[str, str] | None:
    """What the fields say, where that is the same for everybody."""
    texts = {name: node.plain for name, node, _ in fields if isinstance(node, Template) and node.plain is not None}
    return texts if len(texts) == len(fields) else None


@dataclass(frozen=True, slots=True)
class _Manner:
    """How the templates of a field are compiled."""

    step: Step
    trusted: bool
    spins: bool


def _compile(name: str, value: Any, manner: _Manner, path: str) -> Node:
    if name in ADDRESS_FIELDS and isinstance(value, str):
        return [_compile("", part.strip(), manner, path) for part in _PART.findall(value)]
    if isinstance(value, str):
        return _compile_text(value, name == "html" and manner.step.channel == "email", manner, path)
    if isinstance(value, Mapping):
        return {str(key): _compile("", inner, manner, f"{path}.{key}") for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_compile("", inner, manner, f"{path}[{index}]") for index, inner in enumerate(value)]
    return value


def _compile_text(text: str, html: bool, manner: _Manner, path: str) -> Template | PerMessage | Alternatives:
    spun = spintax.as_liquid(text, html=html) if manner.spins else None
    text = spun.text if spun is not None else text
    made: Template | PerMessage
    # Only HTML is escaped: a subject with &amp; in it would be read so.
    if html:
        inlined = manner.step.config.get("inline_css") is not False
        made = html_part(text, trusted=manner.trusted, path=path, inlined=inlined)
    else:
        made = compile_template(text, trusted=manner.trusted, path=path)
    return Alternatives(made, spun.groups) if spun is not None and spun.groups else made


def _text_template(html: Node, trusted: bool) -> Template | None:
    made = html.template if isinstance(html, Alternatives) else html
    text = text_template(made.source) if isinstance(made, Template) else None
    try:
        return compile_template(text, trusted=trusted) if text is not None else None
    except Invalid:
        # A tag stood where no text is, so its other half stands alone.
        return None


def _render(node: Node, variables: Variables, missing: Report | None, path: str, seed: str) -> Any:
    if isinstance(node, Template):
        return node.render(variables, missing, path)
    if isinstance(node, Alternatives):
        return node.render(variables, missing, path, seed)
    if isinstance(node, PerMessage):
        return node.render(variables, missing, path)
    if isinstance(node, dict):
        return {key: _render(inner, variables, missing, path, seed) for key, inner in node.items()}
    if isinstance(node, list):
        return [_render(inner, variables, missing, path, seed) for inner in node]
    return node
