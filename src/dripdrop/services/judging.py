"""With what is a definition judged, besides the rules?"""

from __future__ import annotations

from collections.abc import Iterable

from dripdrop.rendering.templates import check_template
from dripdrop.rules.definition import CHANNELS
from dripdrop.rules.validation import Checks


def checks(channels: Iterable[str] = (), *, public: bool = True) -> Checks:
    """What this house can look into: templates, our channels and those of plug-ins, links to unsubscribe."""
    return Checks(template=check_template, channels=(*CHANNELS, *sorted({*channels} - {*CHANNELS})), public=public)
