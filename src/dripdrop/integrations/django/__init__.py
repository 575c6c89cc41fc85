"""How does a view of a Django project enroll in its own transaction?

# shop/mail.py
drip = DripDrop("default")

# settings.py
DRIPDROP = "shop.mail.drip"

# views.py
with transaction.atomic():
    user.save()
    joined().enroll("welcome", subscriber=("user", user.pk), data={"email": user.email})
"""

from __future__ import annotations

from typing import Any

from dripdrop.errors import Invalid, MissingExtra


def drip() -> Any:
    """The project's DripDrop: what `settings.DRIPDROP` names. Raises Invalid (`not_set_up`)."""
    try:
        from django.conf import settings
        from django.utils.module_loading import import_string
    except ImportError as missing:
        raise MissingExtra("The Django integration", "django") from missing
    named = getattr(settings, "DRIPDROP", None)
    if not isinstance(named, str):
        raise Invalid(
            "settings.DRIPDROP names no DripDrop object.",
            cure='Make one in a module of yours and name it: DRIPDROP = "shop.mail.drip".',
            code="not_set_up",
        )
    try:
        return import_string(named)
    except ImportError as error:
        raise Invalid(
            f"settings.DRIPDROP is {named!r}, which cannot be imported: {error}.",
            cure="Name a module and its attribute, joined by a dot.",
            code="not_set_up",
        ) from error


def joined(using: str = "default") -> Any:
    """The same inside the transaction of this thread's connection to the database of an alias."""
    found = drip()
    from django.db import connections

    return found.using(connections[using])
