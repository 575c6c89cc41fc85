"""How does a Flask application hold DripDrop, and how does a request enroll in its own transaction?"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dripdrop.errors import Invalid, Unavailable

_NAME = "dripdrop"


def init_app(app: Any, drip: Any) -> None:
    """Give a Flask application its DripDrop, the blocking one: `init_app(app, DripDrop(engine))`."""
    app.extensions[_NAME] = drip


def joined(session: Any = None) -> Any:
    """The application's DripDrop inside the transaction of a session or connection.

    Without one, of Flask-SQLAlchemy's `db.session`. Raises Invalid (`not_set_up`) where the application has no DripDrop
    or no session.
    """
    try:
        held = import_module("flask").current_app.extensions
    except ImportError as missing:
        raise Unavailable("Flask is not installed.", cure="Install it with: pip install flask") from missing
    if _NAME not in held:
        raise Invalid("This application has no DripDrop.", cure="Call init_app(app, drip) first.", code="not_set_up")
    if session is None and "sqlalchemy" not in held:
        raise Invalid(
            "There is no Flask-SQLAlchemy session to join.", cure="Give a session or connection.", code="not_set_up"
        )
    return held[_NAME].using(held["sqlalchemy"].session if session is None else session)
