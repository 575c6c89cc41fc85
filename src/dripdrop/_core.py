"""What do both facades share: settings, plug-ins, keys, connections, and the engine's runtime?"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dripdrop import channels, shorteners
from dripdrop.channels.deliver import Speaker
from dripdrop.channels.http import Sender
from dripdrop.channels.tokens import Tokens
from dripdrop.config import Config, load
from dripdrop.engine.runtime import Runtime
from dripdrop.errors import Invalid
from dripdrop.hooks.asking import Hooks
from dripdrop.hooks.http import Endpoints
from dripdrop.hooks.python import Modules
from dripdrop.plugins import Plugins
from dripdrop.rendering import wire
from dripdrop.rules.definition import Version
from dripdrop.rules.redaction import redact
from dripdrop.schedulers.postgres import PostgresScheduler
from dripdrop.store import hooks
from dripdrop.store.database import AsyncDatabase, Database
from dripdrop.store.hooks import Hook
from dripdrop.telemetry import Telemetry
from dripdrop.vault import Vault

if TYPE_CHECKING:
    from dripdrop.embedded import Server

T = TypeVar("T")
HOME = Path(".dripdrop")


class Core:
    """One DripDrop object's belongings; connections are made at the first use."""

    def __init__(
        self,
        database: Any,
        config: Mapping[str, Any] | Config | Callable[[], Config] | None,
        plugins: Iterable[Any],
        clock: Any,
        http: Any,
    ) -> None:
        self.config: Callable[[], Config] = _question(config)
        self.given = database
        self.clock: Callable[[], datetime] | None = clock.now if clock is not None else None
        self.frozen = clock
        self.http = http
        shortening = shorteners.built_in(lambda: self.config().secrets())
        self.plugins = Plugins(plugins, builtin=[*channels.BUILT_IN, PostgresScheduler(), *shortening])
        self.telemetry = Telemetry(lambda value: redact(value, self.config().redaction_patterns))
        self._server: Server | None = None
        self._sealed_with: tuple[str | None, Vault] | None = None
        self._lock = threading.RLock()

    @cached_property
    def url(self) -> str:
        """The database's URL; without one, the embedded PostgreSQL in `.dripdrop/` is started."""
        with self._lock:
            if isinstance(self.given, str) and "://" in self.given:
                return self.given
            if self.given is not None:
                from dripdrop.store import hosts

                return hosts.url_of(self.given)
            if configured := self.config().database:
                return configured
            from dripdrop import embedded

            self._server = embedded.start(HOME)
            return self._server.url

    @cached_property
    def database(self) -> Any:
        """Runs blocking operations, a transaction each."""
        if self.given is None or (isinstance(self.given, str) and "://" in self.given):
            config = self.config()
            return Database(self.url, config.schema, clock=self.clock, silence=config.lease_seconds)
        from dripdrop.store import hosts

        found = hosts.source(self.given, self.config().schema, clock=self.clock)
        if isinstance(found, hosts.AsyncSource):
            raise Invalid(
                "This database is awaited, and DripDrop blocks.", cure="Use AsyncDripDrop.", code="unsupported_database"
            )
        return found

    @cached_property
    def modules(self) -> Modules:
        """The host's hook modules."""
        return Modules(self.plugins)

    def vault(self) -> Vault:
        """Seals and opens with the keys of this moment."""
        config = self.config()
        known = self._sealed_with
        if known is None or known[0] != config.encryption_key:
            known = self._sealed_with = (config.encryption_key, Vault(config.encryption_keys()))
        return known[1]

    def provider(self, channel: str, name: str) -> Any:
        """A provider by channel and name; raises NotFound naming the known ones."""
        return self.plugins.get("provider", name, channel)

    def runtime(self) -> Runtime:
        """A new runtime for the event loop that asks."""
        sender = Sender(transport=self.http, allow=lambda: self.config().http_allow)
        config = self.config()
        database = AsyncDatabase(self.url, config.schema, clock=self.clock, silence=config.lease_seconds)
        return Runtime(
            database=database,
            config=self.config,
            plugins=self.plugins,
            vault=self.vault,
            speaker=Speaker(sender),
            telemetry=self.telemetry,
            hooks=self._hooks(database, sender),
            tokens=Tokens(sender, lambda name: self.plugins.get("token_source", name)),
            resolve_template=resolve_template,
            sender=sender,
        )

    def _hooks(self, database: AsyncDatabase, sender: Sender) -> Hooks:
        async def defined(version: Version) -> Sequence[Hook]:
            return await database.run(lambda now: hooks.listed(version.tenant_key, version.sequence_id))

        return Hooks(
            self.modules,
            self.telemetry,
            Endpoints(sender, wire),
            defined,
            lambda hook: hooks.credentials(hook, self.vault()) if hook.auth_sealed else {},
        )

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if "database" in self.__dict__:
                self.database.close()
                del self.__dict__["database"]
            if self._server is not None:
                self._server.close()
                self._server = None
                self.__dict__.pop("url", None)


class Portal:
    """An event loop in a thread of its own, for what a blocking caller asks of asynchronous code."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out and wait; an interrupt cancels the work before it is passed on."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="dripdrop", daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None


def resolve_template(module: str, function: str) -> Any:
    """The function of a module template, imported when it is first needed."""
    return getattr(importlib.import_module(module), function)


def load_app(reference: str) -> Any:
    """The host's DripDrop object named `module:attribute`; raises Invalid (`app`).

    Where it belongs to a Django project, Django is set up as `manage.py` does it: hooks and templates use its models.
    """
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute or "drip")
        if os.environ.get("DJANGO_SETTINGS_MODULE"):
            importlib.import_module("django").setup()
        return found
    except (ImportError, AttributeError, ValueError) as error:
        raise Invalid(
            f"The app {reference!r} cannot be found: {error}.",
            cure="Name it as module:attribute, importable from here, such as myapp.mail:drip.",
            code="app",
        ) from error


def _question(config: Mapping[str, Any] | Config | Callable[[], Config] | None) -> Callable[[], Config]:
    if isinstance(config, Config):
        return lambda: config
    if callable(config):
        return config
    return partial(load, config)
