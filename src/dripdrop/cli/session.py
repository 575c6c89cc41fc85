"""What does a command work with: which settings, which database, whose DripDrop object?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dripdrop.cli import output
from dripdrop.cli.options import Options, options_of

if TYPE_CHECKING:
    from dripdrop.app import AsyncDripDrop, DripDrop
    from dripdrop.config import Config

T = TypeVar("T")
HOME = Path(".dripdrop")


class Session:
    """One command's belongings: asked for when needed, closed when the command ends."""

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx
        self.overrides: dict[str, Any] = {}  # what a command decides for itself, as `dev` does
        self.options: Options = options_of(ctx)

    @property
    def json(self) -> bool:
        return self.options.json

    @property
    def dry_run(self) -> bool:
        return self.options.dry_run

    def config(self) -> Config:
        """The settings of this moment: the command line's, then the app's or the environment's."""
        from dripdrop.config import load

        return load(self._given()) if self.app is None else self.app._core.config()

    @cached_property
    def app(self) -> Any:
        """The host's own DripDrop object; None where none was named."""
        from dripdrop.config import load

        reference = load(self._given()).app
        if reference is None:
            return None
        from dripdrop._core import load_app
        from dripdrop._facade import Facade
        from dripdrop.errors import Invalid

        import_from_here()
        found = load_app(reference)
        if not isinstance(found, Facade):
            message = f"The app {reference!r} is a {type(found).__name__}, not a DripDrop object."
            raise Invalid(message, cure="Name the attribute that holds it, such as myapp.mail:drip.", code="app")
        return found

    @cached_property
    def url(self) -> str:
        """The database's URL: the command line's, else the app's, else the configured one, else the embedded one."""
        if self.options.database:
            return self.options.database
        if self.app is not None and (self.app._core.given is not None or self.config().database):
            return str(self.app._core.url)
        return self.config().database or self._embedded()

    @cached_property
    def drip(self) -> DripDrop:
        """The blocking facade in the scope that was asked for, on a database that answers and has our schema."""
        from dripdrop.app import DripDrop

        return self.scoped(self._made(DripDrop))  # type: ignore[no-any-return]

    def awaited(self) -> AsyncDripDrop:
        """The awaiting facade; its user closes it."""
        from dripdrop.app import AsyncDripDrop

        return self.scoped(self._made(AsyncDripDrop))  # type: ignore[no-any-return]

    @contextmanager
    def writing(self, *, together: bool = False) -> Iterator[DripDrop]:
        """The facade for a change; `together`: all or nothing; with --dry-run everything is taken back at the end."""
        if not (self.dry_run or together):
            yield self.drip
            return
        import psycopg

        drip = self.drip
        with psycopg.connect(self.url) as connection, connection.transaction(force_rollback=self.dry_run):
            yield drip.using(connection)
        if self.dry_run:
            self.note("A dry run: nothing was changed.")

    def show(self, value: Any, *shown: Any) -> None:
        """The answer: `value` with --json, else the renderables, each on its own lines."""
        if self.json:
            output.write_json(value)
            return
        out = output.console()
        for each in shown:
            out.print(each, markup=False)

    def done(self, value: Any, text: str) -> None:
        """What was done, in one sentence."""
        from rich.text import Text

        mark = ("• ", "yellow") if self.dry_run else ("✓ ", "green")
        self.show(value, Text.assemble(mark, text))

    def note(self, text: str) -> None:
        if not self.json:
            output.note(text)

    def embedded(self, folder: Path = HOME) -> str:
        """Use the embedded PostgreSQL, and its key where there is no other; answers the database's URL."""
        from dripdrop import embedded

        if not list(folder.glob("pg*/data/PG_VERSION")):
            self.note(f"No database is configured: making one in {folder}/. For another, set DRIPDROP_DATABASE_URL.")
        server = embedded.start(folder)
        self._ctx.call_on_close(server.close)
        self.use_dev_key(folder)
        return server.url

    def use_dev_key(self, folder: Path = HOME) -> None:
        """Seal with the key kept in the folder, unless somebody configured one."""
        from dripdrop.config import dev_key

        if self.config().encryption_key is None:
            self.overrides["encryption_key"] = dev_key(folder.parent)

    def _embedded(self) -> str:
        url = self.embedded()
        from dripdrop.store import schema

        if self._ctx.command.name not in ("setup", "check-schema", "doctor"):
            schema.migrate(url, self.config().schema)
        return url

    def _given(self) -> dict[str, Any]:
        given = {"database": self.options.database, "app": self.options.app, **self.overrides}
        return {name: value for name, value in given.items() if value is not None}

    def _made(self, kind: Callable[..., Any]) -> Any:
        from dripdrop.cli.readiness import require_schema

        require_schema(self.url, self.config().schema)
        import_from_here()
        if self.app is None:
            made = kind(self.url, config=self._given())
        else:
            core = self.app._core
            made = kind(self.url, config=core.config, clock=core.frozen, http=core.http)
            # Its hooks, providers and listeners come along; only the database and the way of waiting may be others.
            made._core.plugins, made._core.telemetry = core.plugins, core.telemetry
        if hasattr(made, "__exit__"):
            self._ctx.call_on_close(made.close)
        return made

    def plugins(self) -> Any:
        """The app's plug-ins, or those that are installed."""
        from dripdrop.plugins import Plugins

        return Plugins() if self.app is None else self.app.plugins

    def scoped(self, drip: Any) -> Any:
        """The view of a facade that was asked for with `--tenant`."""
        return drip if self.options.tenant is None else drip.for_tenant(self.options.tenant)


def import_from_here() -> None:
    """Let the host's modules be found: our script's own folder stands on the path, not the one somebody works in."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def with_session(function: Callable[..., T]) -> Callable[..., T]:
    """Hand a command its session as the first argument."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> T:
        return function(Session(click.get_current_context()), *args, **kwargs)

    return run
