"""With what is a definition judged, besides the rules?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from dripdrop.rendering.templates import check_template
from dripdrop.rules.definition import CHANNELS
from dripdrop.rules.validation import Checks


def checks(channels: Iterable[str] = (), *, public: bool = True, trusted: bool = True) -> Checks:
    """What this house can look into: templates, our channels and those of plug-ins, links to unsubscribe.

    A tenant's authors are not `trusted`: they may not write markup past the escaping.
    """
    template = partial(check_template, trusted=trusted)
    return Checks(template=template, channels=(*CHANNELS, *sorted({*channels} - {*CHANNELS})), public=public)
