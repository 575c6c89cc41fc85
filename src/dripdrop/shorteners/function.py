"""How does a function of the host make a short link?"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from dripdrop.contracts import LinkRequest, ShortLink, ShortLinkFailed
from dripdrop.shorteners.asking import called


class FunctionShortener:
    """Calls `function` of `module` (`create_link` where it is not named), or `function: "module:function"`.

    The function takes (request, options), blocks or is awaited, and returns what `dripdrop.shorteners.asking.as_link`
    reads. Only settings, and sequences of the global scope, may name one: it is code of this process.
    """

    kind = "shortener"
    name = "function"

    async def create_link(self, request: LinkRequest, options: Mapping[str, Any]) -> ShortLink:
        module, name = named(options)
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, TypeError, ValueError):
            raise ShortLinkFailed("temporary", "no_function") from None  # a release that has it may be on its way
        return await called(function, request, options)


def named(options: Mapping[str, Any]) -> tuple[str, str]:
    """The module and the function of the options; ('', ...) where no module is named."""
    module, function = str(options.get("module") or ""), str(options.get("function") or "")
    if ":" in function:
        module, _, function = function.partition(":")
    return module, function or "create_link"
