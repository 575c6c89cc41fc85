"""What happens on which day of the week that the demo lives through?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx2

from dripdrop.app import AsyncDripDrop, DripDrop
from dripdrop.config import Config
from dripdrop.demo.people import Row
from dripdrop.demo.processes import Trouble

# A Monday before the summer time of both continents begins, so that every run tells the same week.
MONDAY = datetime(2030, 3, 4, 9, tzinfo=UTC)
PUBLIC_URL = "https://mail.demo.example"


@dataclass(frozen=True, slots=True)
class Happening:
    """At this time after Monday nine o'clock, whoever's row says so does it."""

    after: timedelta
    happens: str
    said: str


HAPPENINGS = (
    Happening(timedelta(days=1, hours=3), "cancels on Tuesday", "{} people cancel: the event ends their enrollment"),
    Happening(timedelta(days=1, hours=6), "unsubscribes on Tuesday", "{} people click Unsubscribe in their mail"),
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

    def happen(self, happening: Happening, people: Iterable[Row], links: Mapping[str, str]) -> int:
        """How many did it; `links` are the unsubscribe links in the mail they got, by id."""
        concerned = [row for row in people if row.happens == happening.happens]
        match happening.happens.split()[0]:
            case "cancels":
                rows = [{"event": "subscription_cancelled", "subscriber": ("user", row.id)} for row in concerned]
                self._drip.track_many(rows)
            case "unsubscribes":
                asyncio.run(self._click([links[row.id] for row in concerned]))
            case "complains":
                for row in concerned:
                    self._drip.suppress("email", row.email, "complaint", source="demo")
        return len(concerned)

    async def _click(self, links: list[str]) -> None:
        """What a mail client does at the one click of RFC 8058, against our own pages."""
        drip = AsyncDripDrop(self._url, config=self._config)
        transport = httpx2.ASGITransport(app=drip.asgi(("public",)))
        try:
            async with httpx2.AsyncClient(transport=transport) as client:
                for link in links:
                    answer = await client.post(link, data={"List-Unsubscribe": "One-Click"})
                    if answer.status_code != 200:
                        raise Trouble(f"A click on Unsubscribe was answered with status {answer.status_code}.")
        finally:
            await drip.close()
