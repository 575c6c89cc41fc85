"""What do all checks of a definition share?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Protocol, TypeAlias

from dripdrop.errors import Finding
from dripdrop.rules.definition import CHANNELS
from dripdrop.rules.document import Path, SequenceDocument

Found: TypeAlias = Iterator[Finding]


class TemplateProblem(Protocol):
    """What a template checker says: a sentence, and where in the template it is (from 1)."""

    @property
    def message(self) -> str: ...

    @property
    def line(self) -> int | None: ...


class MarkupProblem(TemplateProblem, Protocol):
    """What a checker of markup says besides."""

    @property
    def code(self) -> str: ...

    @property
    def severity(self) -> str: ...

    @property
    def cure(self) -> str: ...


CheckTemplate: TypeAlias = Callable[[str], Sequence[TemplateProblem]]


@dataclass(frozen=True, slots=True)
class Checks:
    """What only the house around the rules can know of a definition; what is None is not looked into.

    `template` looks into Liquid, `markup` into the HTML of e-mails and MJML; `variables` names what a template prints,
    each with its line. `hooks` says what is wrong with a hook module and a name asked of it, `function` what is wrong
    with a module template: a sentence each, or None. `endpoint` looks into the templates of HTTP hooks, `http_hooks`
    are those the sequence has besides the document's, `http_allow` names addresses that may be called although they
    are not public. `channels` are those that exist here; `public` says whether links to unsubscribe can be made.
    """

    template: CheckTemplate | None = None
    markup: Callable[[str], Sequence[MarkupProblem]] | None = None
    variables: Callable[[str], Sequence[tuple[str, int | None]]] | None = None
    hooks: Callable[[str, str | None], str | None] | None = None
    function: Callable[[str, str], str | None] | None = None
    channels: Collection[str] = CHANNELS
    public: bool = True
    endpoint: CheckTemplate | None = None
    http_hooks: Collection[str] = ()
    http_allow: tuple[str, ...] = ()


def later(document: SequenceDocument, at: Path, what: str, cure: str = "Remove it.") -> Finding:
    """The finding for what can be written and is not carried out yet."""
    return document.finding("unsupported_here", at, f"{what} is not available in this version.", cure)


def nearest(value: str, known: Sequence[str]) -> str:
    """The cure for a word that is none of these."""
    near = get_close_matches(value, known, 1, 0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Use one of: {', '.join(known)}."


def blank(value: Any) -> bool:
    """Whether there is nothing in it."""
    return value is None or value == [] or value == {} or (isinstance(value, str) and not value.strip())
