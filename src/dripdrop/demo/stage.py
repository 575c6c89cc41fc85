"""What is built up before the demo begins, and taken down after it?"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from dripdrop import embedded
from dripdrop.app import DripDrop
from dripdrop.config import KEY_BYTES, Config, load
from dripdrop.demo import watching
from dripdrop.demo.mailroom import Mailroom, open_mailroom
from dripdrop.demo.processes import WorkerProcess, start_worker, stop, tail
from dripdrop.demo.week import PUBLIC_URL
from dripdrop.errors import MissingExtra, Refused, SchemaMismatch
from dripdrop.rules.document import SequenceDocument
from dripdrop.services import sources
from dripdrop.store.database import Database
from dripdrop.store.flow import Flow

T = TypeVar("T")
WORKERS = ("worker 1", "worker 2", "worker 3")
CONNECTIONS = 10
SETTINGS = {"lease_seconds": 4, "adapter_timeout_seconds": 2, "heartbeat_seconds": 0.5, "virtual_clock": True}


@dataclass(slots=True)
class Stage:
    """Database, SMTP server and workers; leaving the block ends them all, whatever happened."""

    folder: Path
    keep: bool
    settings: Config
    url: str
    database: Database
    drip: DripDrop
    mailroom: Mailroom
    workers: list[WorkerProcess]
    _ending: ExitStack

    def run(self, operation: Callable[[datetime], Flow[T]]) -> T:
        """One transaction."""
        return self.database.run(operation)

    def look(self) -> None:
        """Take in what the server wrote; raises `Trouble` where a process ended that should not have."""
        self.mailroom.look()
        for worker in self.workers:
            worker.check()

    def where_it_stands(self) -> str:
        """For whoever has to find out why nothing moves."""
        status = self.drip.status()
        logs = "; ".join(f"{each.name}: {tail(each.log)}" for each in self.workers)
        return f"the queue is {status['queue']}, due now are {status['due_now']}. {logs}"

    def start_workers(self) -> None:
        """Start them; they register by themselves."""
        said = {name: str(getattr(self.settings, name)) for name in (*SETTINGS, "encryption_key", "public_url")}
        environment = {f"DRIPDROP_{name.upper()}": value for name, value in said.items()}
        for name in WORKERS:
            worker = start_worker(name, self.folder, {**environment, "DRIPDROP_DATABASE_URL": self.url})
            self.workers.append(worker)

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.close()


def build(folder: Path | str | None, *, keep: bool, database: str | None) -> Stage:
    """A fresh database with the sequences in it, and an SMTP server that waits for mail."""
    if find_spec("aiosmtpd") is None:
        raise MissingExtra("The demo's SMTP server", "demo")
    with ExitStack() as ending:
        home = _home(ending, folder, keep)
        url = database or ending.enter_context(embedded.start(home)).url
        key = base64.b64encode(os.urandom(KEY_BYTES)).decode()
        # Nothing of this machine's own settings counts here: neither for us nor for the workers.
        settings = load({**SETTINGS, "encryption_key": key, "public_url": PUBLIC_URL}, environ={}, folder=home)
        pool = Database(url)
        ending.callback(pool.close)
        drip = DripDrop(url, config=settings)
        ending.callback(drip.close)
        if database is not None and _in_use(pool):
            raise Refused(
                "The demo moves the clock of its database, and this one is in use.",
                cure="Give it an empty database, or none: then it makes one.",
                code="database_in_use",
            )
        drip.setup()
        for document in definitions():
            drip.sequences.apply(document)
        workers: list[WorkerProcess] = []
        mailroom = open_mailroom(home)
        ending.callback(lambda: stop([*(each.process for each in workers), mailroom.process]))
        _adapter(drip, mailroom.port)
        return Stage(home, keep, settings, url, pool, drip, mailroom, workers, ending.pop_all())


def _home(ending: ExitStack, folder: Path | str | None, keep: bool) -> Path:
    if folder is not None:
        home = Path(folder).resolve()
        home.mkdir(parents=True, exist_ok=True)
        return home
    home = Path(tempfile.mkdtemp(prefix="dripdrop-demo-"))
    if not keep:
        ending.callback(shutil.rmtree, home, ignore_errors=True)
    return home


def _in_use(database: Database) -> bool:
    try:
        database.run(watching.time)
    except SchemaMismatch:
        return False
    return True


def definitions() -> list[SequenceDocument]:
    """The demo's own sequences."""
    return sources.documents(sources.load_paths([Path(str(resources.files("dripdrop.demo").joinpath("data")))]))


def _adapter(drip: DripDrop, port: int) -> None:
    create: Callable[..., Any] = drip.adapters.create
    create(
        "demo smtp",
        channel="email",
        provider="smtp",
        credentials={"relay": "127.0.0.1", "port": port},
        config={
            "from": "Demo <hello@demo.example>",
            "starttls": "never",
            "local_hostname": "demo.example",
            "connections": CONNECTIONS,
        },
        is_default=True,
    )
