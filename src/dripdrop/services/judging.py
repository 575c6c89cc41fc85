"""With what is a definition judged, besides the rules?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from dripdrop.hooks.python import Modules
from dripdrop.rendering import wire
from dripdrop.rendering.html_part import check_markup
from dripdrop.rendering.templates import check_template, variables_of
from dripdrop.rules.definition import CHANNELS
from dripdrop.rules.validation import Checks


def checks(
    channels: Iterable[str] = (),
    *,
    public: bool = True,
    trusted: bool = True,
    modules: Modules | None = None,
    resolve: Callable[[str, str], Any] | None = None,
    http_allow: Iterable[str] = (),
) -> Checks:
    """What this house can look into: templates, our channels and those of plug-ins, links to unsubscribe.

    Where the host's code is at hand, `modules` finds hook modules and `resolve` the functions of module templates. A
    tenant's authors are not `trusted`: they may not write markup past the escaping, nor name code to be imported.
    """
    template, markup = partial(check_template, trusted=trusted), partial(check_markup, trusted=trusted)
    return Checks(
        template=template,
        variables=variables_of,
        markup=markup,
        hooks=None if modules is None else partial(modules.problem, trusted=trusted),
        function=_no_function if not trusted else None if resolve is None else partial(_problem, resolve),
        channels=(*CHANNELS, *sorted({*channels} - {*CHANNELS})),
        public=public,
        endpoint=partial(wire.check, path="http_hooks"),
        http_allow=tuple(http_allow),
    )


def _no_function(module: str, function: str) -> str | None:
    return "A tenant's definition may not name a function of the host's."


def _problem(resolve: Callable[[str, str], Any], module: str, function: str) -> str | None:
    """What is wrong with the function of a module template, as a sentence; None is well."""
    try:
        found = resolve(module, function)
    except Exception as trouble:  # the import runs the host's own code
        return f"{module[:80]}:{function[:80]} cannot be imported here: {type(trouble).__name__}."
    return None if callable(found) else f"{module[:80]}:{function[:80]} is no function."
