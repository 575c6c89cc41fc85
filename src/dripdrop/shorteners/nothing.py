"""What if links are to stay as they are?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dripdrop.contracts import LinkRequest, ShortLink


class NoShortener:
    """Every link stays as it is."""

    kind = "shortener"
    name = "none"

    async def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        return self.preview_link(request, options)

    def preview_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        return ShortLink(request.original_url, skipped=True)
