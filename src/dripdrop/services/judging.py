"""With what is a definition judged, besides the rules?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

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
    http_allow: Iterable[str] = (),
) -> Checks:
    """What this house can look into: templates, our channels and those of plug-ins, links to unsubscribe.

    `modules` finds hook modules where the host's code is at hand. A tenant's authors are not `trusted`: they may not
    write markup past the escaping.
    """
    template, markup = partial(check_template, trusted=trusted), partial(check_markup, trusted=trusted)
    return Checks(
        template=template,
        variables=variables_of,
        markup=markup,
        hooks=None if modules is None else modules.problem,
        channels=(*CHANNELS, *sorted({*channels} - {*CHANNELS})),
        public=public,
        endpoint=partial(wire.check, path="http_hooks"),
        http_allow=tuple(http_allow),
    )
