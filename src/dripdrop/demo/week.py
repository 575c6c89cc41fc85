"""What happens on which day of the week that the demo lives through?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx2

from dripdrop.app import AsyncDripDrop, DripDrop
from dripdrop.config import Config
from dripdrop.demo.mailroom import Mailroom
from dripdrop.demo.people import Row
from dripdrop.demo.processes import Trouble

# A Monday before the summer time of both continents begins, so that every run tells the same week.
MONDAY = datetime(2030, 3, 4, 9, tzinfo=UTC)
PUBLIC_URL = "https://mail.demo.example"
APP_URL = "https://app.demo.example/"


@dataclass(frozen=True, slots=True)
class Happening:
    """At this time after Monday nine o'clock, whoever's row says so does it."""

    after: timedelta
    happens: str
    said: str


HAPPENINGS = (
    Happening(timedelta(days=1, hours=3), "cancels on Tuesday", "{} people cancel: the event ends their enrollment"),
    Happening(timedelta(days=1, hours=6), "unsubscribes on Tuesday", "{} people click Unsubscribe in their mail"),
    Happening(
        timedelta(days=2, hours=18),
        "creates a sequence on Thursday",
        "{} people follow the short link in their mail and create a sequence: the event wakes who waited for it",
    ),
    Happening(timedelta(days=2, hours=21), "complains on Thursday", "{} people complain: they are suppressed"),
    Happening(timedelta(days=5, hours=3), "cancels on Saturday", "{} more people cancel"),
)


def beginning(now: datetime) -> datetime:
    """The Monday to begin with: the usual one, or the next to come where that is past."""
    if now < MONDAY:
        return MONDAY
    nine = now.replace(hour=9, minute=0, second=0, microsecond=0)
    return nine + timedelta(days=7 - now.weekday())


class Life:
    """Lets people do what their rows say."""

    def __init__(self, drip: DripDrop, url: str, config: Config) -> None:
        self._drip = drip
        self._url = url
        self._config = config

    def happen(self, happening: Happening, people: Iterable[Row], mail: Mailroom) -> int:
        """How many did it, with what stands in the mail they got."""
        concerned = [row for row in people if row.happens == happening.happens]
        match happening.happens.split()[0]:
            case "cancels":
                rows = [{"event": "subscription_cancelled", "subscriber": ("user", row.id)} for row in concerned]
                self._drip.track_many(rows)
            case "unsubscribes":
                asyncio.run(self._click([mail.links[row.id] for row in concerned]))
            case "creates":
                asyncio.run(self._follow([mail.short_links[row.id] for row in concerned]))
                created = {"kind": "onboarding", "name": "My first sequence"}
                self._drip.track_many(
                    [
                        {"event": "sequence_created", "subscriber": ("user", row.id), "data": created}
                        for row in concerned
                    ]
                )
            case "complains":
                for row in concerned:
                    self._drip.suppress("email", row.email, "complaint", source="demo")
        return len(concerned)

    async def _click(self, links: list[str]) -> None:
        """What a mail client does at the one click of RFC 8058, against our own pages."""
        async with self._browser() as client:
            for link in links:
                answer = await client.post(link, data={"List-Unsubscribe": "One-Click"})
                if answer.status_code != 200:
                    raise Trouble(f"A click on Unsubscribe was answered with status {answer.status_code}.")

    async def _follow(self, links: list[str]) -> None:
        """What a browser does with a short link."""
        async with self._browser() as client:
            for link in links:
                answer = await client.get(link)
                if answer.status_code != 302 or not answer.headers["location"].startswith(APP_URL):
                    raise Trouble(f"A short link was answered with status {answer.status_code}, and leads nowhere.")

    @asynccontextmanager
    async def _browser(self) -> AsyncIterator[httpx2.AsyncClient]:
        drip = AsyncDripDrop(self._url, config=self._config)
        transport = httpx2.ASGITransport(app=drip.asgi(("public",)))
        try:
            async with httpx2.AsyncClient(transport=transport) as client:
                yield client
        finally:
            await drip.close()
