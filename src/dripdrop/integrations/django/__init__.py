"""How does a Django project hold DripDrop, and how does a view enroll in its own transaction?

# settings.py
DRIPDROP = {"database": "default", "public_url": "https://app.example"}

# views.py
with transaction.atomic():
    user.save()
    joined().enroll("welcome", subscriber=("user", user.pk), data={"email": user.email})
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from dripdrop.errors import MissingExtra

if TYPE_CHECKING:
    from dripdrop import DripDrop

_LOCK = threading.Lock()
_HELD: list[Any] = []


def drip() -> DripDrop:
    """The project's DripDrop, made at the first call of `settings.DRIPDROP`.

    `database` (an alias or a URL, by default `default`) and `plugins` are its own; the rest are settings of DripDrop.
    """
    settings, _ = _django()
    with _LOCK:
        if not _HELD:
            import dripdrop

            given = dict(getattr(settings, "DRIPDROP", {}))
            database, plugins = given.pop("database", "default"), given.pop("plugins", ())
            _HELD.append(dripdrop.DripDrop(database, plugins=plugins, config=given))
        return _HELD[0]  # type: ignore[no-any-return]


def joined(using: str | None = None) -> DripDrop:
    """The same inside the transaction of this thread's connection; `using` is an alias, by default DripDrop's own."""
    settings, connections = _django()
    alias = using or getattr(settings, "DRIPDROP", {}).get("database", "default")
    return drip().using(connections[alias])


def forget() -> None:
    """Close and forget the project's DripDrop: after a fork, or when a test changes the settings."""
    with _LOCK:
        while _HELD:
            _HELD.pop().close()


def _django() -> tuple[Any, Any]:
    try:
        from django.conf import settings
        from django.db import connections
    except ImportError as missing:
        raise MissingExtra("The Django integration", "django") from missing
    return settings, connections
