"""What does a facade ask of the engine, the services and the web?"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from dripdrop._core import Core, resolve_template
from dripdrop.contracts import TokenError
from dripdrop.engine import linking, passes
from dripdrop.engine.dispatcher import Run
from dripdrop.engine.runtime import BUILT_IN_SCHEDULER, Runtime
from dripdrop.engine.worker import Worker
from dripdrop.errors import BadSettings, Finding, Invalid
from dripdrop.hooks.http import Endpoints
from dripdrop.operations import hooking, unsubscribing
from dripdrop.operations.consequences import Policy
from dripdrop.rendering import wire
from dripdrop.rules import links
from dripdrop.rules.outcome import Outcome, Rejected
from dripdrop.rules.recipients import normalize
from dripdrop.services import external, hook_tests, judging, previewing, sending
from dripdrop.services.hook_tests import Tried
from dripdrop.services.receiving import Received, Receiver
from dripdrop.store import hooks, schema
from dripdrop.store.adapters import Adapter
from dripdrop.store.hooks import Hook
from dripdrop.store.scope import Scope


class Work:
    """Asynchronous throughout; a runtime belongs to the event loop that first asked for it."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._receiver: Receiver | None = None

    def runtime(self) -> Runtime:
        """The runtime of the running loop; another loop gets another one."""
        loop = asyncio.get_running_loop()
        if self._runtime is None or self._loop is not loop:
            self._runtime, self._loop, self._receiver = self.core.runtime(), loop, None
        return self._runtime

    def given(self, name: str, scope: Scope) -> Any:
        """What operations are handed besides their arguments, asked for at each call."""
        match name:
            case "default_zone":
                return self.core.config().default_timezone
            case "scheduler":
                name = self.core.config().scheduler
                return None if name == BUILT_IN_SCHEDULER else self.core.plugins.get("scheduler", name)
            case "vault":
                return self.core.vault()
            case "known":
                return self.core.provider
            case "public_url":
                return self.core.config().public_url
            case "feedback_policy":
                config = self.core.config()
                return Policy(config.feedback_ends, config.default_timezone, config.on_reply is not None)
            case "checks":
                public = bool(self.core.config().public_url)
                return judging.checks(
                    self.core.plugins.channels(),
                    public=public,
                    trusted=scope.tenant == "",
                    modules=self.core.modules,
                    # A tenant's definition runs none of the host's code before the host has looked at it.
                    resolve=resolve_template if scope.tenant == "" else None,
                    http_allow=self.core.config().http_allow,
                )
            case "keyring":
                return hooking.Keyring(self.core.vault, os.environ, tuple(self.core.config().http_allow))
        raise KeyError(name)

    async def run_due(self, *, limit: int | None = None) -> Run:
        return await passes.run_due(self.runtime(), limit=limit)

    async def drain(self, *, until: datetime | None = None) -> Run:
        return await passes.drain(self.runtime(), until=until, clock=self.core.frozen)

    async def dispatch(self, execution: UUID) -> Run:
        return await passes.dispatch(self.runtime(), execution)

    async def run_worker(self) -> None:
        """Work until cancelled, or until SIGINT or SIGTERM where this is the main thread; then stop gently."""
        worker = Worker(self.runtime())
        if threading.current_thread() is threading.main_thread():
            for each in (signal.SIGINT, signal.SIGTERM):
                with suppress(NotImplementedError):
                    asyncio.get_running_loop().add_signal_handler(each, worker.stop)
        work = asyncio.ensure_future(worker.run())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            worker.stop()
            await work
            raise

    async def check_adapter(self, adapter: Adapter) -> str | None:
        return await self.runtime().check(adapter, sending.utc_now(self.core.clock))

    async def test_hook(self, hook: Hook, data: Mapping[str, Any]) -> tuple[Tried, Mapping[str, Any]]:
        """What came of it, and what may be kept of that."""
        sender = self.runtime().sender
        assert sender is not None
        auth = hooks.credentials(hook, self.core.vault()) if hook.auth_sealed else {}
        now = sending.utc_now(self.core.clock)
        tried = await hook_tests.test(Endpoints(sender, wire), hook, auth, data, now=now)
        return tried, tried.kept(self.core.config().redaction_patterns)

    async def send_test(
        self, now: datetime, version: Any, step: Any, to: str, data: Mapping[str, Any], adapter: Adapter | None = None
    ) -> Outcome:
        if adapter is None:
            raise Invalid(
                f"There is no adapter for {step.channel}.",
                cure="Create one: dripdrop adapters create.",
                code="no_adapter",
            )
        runtime = self.runtime()
        message = self._rendered(now, version, step, adapter, {"data": sending.addressed_to(data, step, to)}).message
        subject = linking.Subject(version, step, version.tenant_key, now)
        made = await linking.shortened(runtime, subject, message, self.core.config())
        if isinstance(made, Rejected):
            return made
        try:
            config = await runtime.with_token(adapter, runtime.call_config(adapter, now, runtime.config().public_url))
        except TokenError as error:
            return Rejected(error.kind, "adapter", detail={"reason": "token", "why": error.reason})
        delivery = sending.test_delivery(adapter, made.message, version=version, step=step)
        seconds = self.core.config().adapter_timeout_seconds
        return await runtime.send(runtime.provider(adapter), adapter, delivery, config, timeout=seconds)

    def preview(
        self, now: datetime, version: Any, step: Any, adapter: Any, person: Any, wishes: previewing.Wishes
    ) -> previewing.Preview:
        """The message of a step, and what there is to know about it."""
        shown = self._rendered(now, version, step, adapter, wishes, person)
        subject = linking.Subject(version, step, version.tenant_key, now)
        message = linking.previewed(self.core.plugins, subject, shown.message, self.core.config())
        return previewing.report(replace(shown, message=message), version, step)

    def _rendered(
        self, now: datetime, version: Any, step: Any, adapter: Any, wishes: previewing.Wishes, person: Any = None
    ) -> previewing.Preview:
        config = self.core.config()
        return previewing.preview(
            version,
            step,
            wishes,
            now=now,
            person=person,
            adapter=adapter,
            public_url=config.public_url,
            unsubscribe_mailto=config.unsubscribe_mailto,
            resolve=resolve_template,
            sms_max_chars=None if linking.wanted(step, version, config) else config.sms_max_chars,
        )

    async def pinned(self, document: Any) -> Any:
        """The document with what its external templates say now."""
        return await external.pinned(document, self.core.plugins)

    async def doctor(self) -> list[Finding]:
        from dripdrop.services import doctor

        return await doctor.findings(self.core.config, lambda: self.core.url, plugins=self.core.plugins)

    async def setup(self) -> list[int]:
        url, name = self.core.url, self.core.config().schema
        return await asyncio.get_running_loop().run_in_executor(None, schema.migrate, url, name)

    def receiver(self) -> Receiver:
        """Takes in what providers post, on the running loop."""
        runtime, core = self.runtime(), self.core
        if self._receiver is None:
            assert runtime.sender is not None
            self._receiver = Receiver(
                runtime.database.run, core.provider, core.vault, runtime.sender, core.config, core.telemetry
            )
        return self._receiver

    async def receive(self, scope: Scope, provider: str, adapter_id: Any, **request: Any) -> Received:
        return await self.receiver().receive(scope, provider, adapter_id, **request)

    def asgi(self, parts: Sequence[str], scope: Scope) -> Any:
        """The web parts, run by this object."""
        from dripdrop.web import app

        async def run(operation: Callable[[datetime], Any]) -> Any:
            return await self.runtime().database.run(operation)

        async def receive(provider: str, adapter_id: Any, **request: Any) -> Received:
            return await self.receive(scope, provider, adapter_id, **request)

        config = self.core.config
        receiving = app.Receiving(receive, lambda: config().webhook_max_body_bytes, lambda: config().public_url)
        leaving = app.Leaving(lambda: "unsubscribed" in config().feedback_ends, lambda: config().public_texts)
        return app.build(run, lambda: config().secrets(), tuple(parts), receiving=receiving, leaving=leaving)

    def unsubscribe_token(
        self, scope: Scope, channel: str, recipient: str, sequence: Any, topic: str | None = None
    ) -> str:
        """A token that names tenant, channel, recipient, sequence and topic."""
        return links.unsubscribe_token(
            self._secret(),
            tenant_key=scope.tenant,
            channel=channel,
            recipient=normalize(channel, recipient),
            sequence=None if sequence is None else str(getattr(sequence, "id", sequence)),
            topic=topic,
        )

    def unsubscribe_url(self, scope: Scope, execution: Any) -> str:
        """The link of one execution, as its message carries it."""
        base = self.core.config().public_url
        if not base:
            raise BadSettings(
                "There is no public address to unsubscribe at.", cure="Set DRIPDROP_PUBLIC_URL.", code="public_url"
            )
        one: UUID = execution if isinstance(execution, UUID) else execution.id
        named = self.core.database.run(lambda now: unsubscribing.named(now, scope, one))
        return f"{base.rstrip('/')}/u/{links.unsubscribe_token(self._secret(), **asdict(named))}"

    async def close(self) -> None:
        """Close what the running loop holds."""
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await runtime.close()

    def _secret(self) -> bytes:
        return self.core.config().secrets()[0]
