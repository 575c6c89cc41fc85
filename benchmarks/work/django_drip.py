"""How fast does django-drip-campaigns send the same letter?  Its own run, into a transport that counts."""

from __future__ import annotations

import time
from typing import Any

import django
from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend
from psycopg.conninfo import conninfo_to_dict

from benchmarks.work import letter, meter

CHUNK = 10_000
NAME = "basket"
_clock: Clock


class Enough(BaseException):
    """Ends a run from within the transport; the package catches every Exception."""


class Clock:
    """Opens and closes the window as messages pass, since the run itself never yields."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.window = meter.Window(job)
        self.job = job
        self.started = 0.0
        self.open = False
        self.octets = 0
        self.sample: dict[str, Any] = {}

    def passed(self) -> None:
        now = time.monotonic()
        self.started = self.started or now
        if not self.open and now >= self.started + self.job["warmup"]:
            self.open = True
            self.window.begin()
        if self.open and now >= self.started + self.job["warmup"] + self.job["seconds"]:
            self.window.end()
            raise Enough


class Nowhere:
    """The far end of Django's own SMTP transport: counts what it is given."""

    def sendmail(self, sender: str, recipients: list[str], octets: bytes, **_: Any) -> dict[str, Any]:
        _clock.octets += len(octets)
        _clock.window.total += 1
        return {}


class Transport(EmailBackend):  # type: ignore[misc]
    """Django's SMTP transport, which builds the octets as ever, without a connection."""

    def open(self) -> bool:
        self.connection = Nowhere()
        return False

    def close(self) -> None:
        pass

    def send_messages(self, messages: Any) -> int:
        _clock.passed()
        if not _clock.sample:
            first = messages[0]
            html = str(first.alternatives[0][0])
            _clock.sample = {"to": first.to[0], "subject": str(first.subject), "html": html}
        return int(super().send_messages(messages) or 0)


def prepare(job: dict[str, Any]) -> None:
    _configure(job)
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from drip.models import Drip, QuerySetRule

    call_command("migrate", verbosity=0)
    for begin in range(0, job["rows"], CHUNK):
        numbers = range(begin, min(begin + CHUNK, job["rows"]))
        users = (User(username=str(number), email=letter.address(number), is_active=True) for number in numbers)
        User.objects.bulk_create(users)
    drip = Drip.objects.create(
        name=NAME,
        enabled=True,
        from_email=letter.SENDER[1],
        from_email_name=letter.SENDER[0],
        subject_template=letter.SUBJECT,
        body_html_template=letter.HTML,
    )
    QuerySetRule.objects.create(
        drip=drip, method_type="filter", field_name="is_active", lookup_type="exact", field_value="True"
    )


def run(job: dict[str, Any]) -> dict[str, Any]:
    global _clock
    _configure(job)
    from django.db import connection
    from drip.models import Drip

    _clock = Clock(job)
    drip = Drip.objects.get(name=NAME).drip
    connection.ensure_connection()
    meter.ready()
    try:
        drip.run()
    except Enough:
        pass
    else:
        raise RuntimeError("the run ended before its window")
    return _clock.window.result(octets=_clock.octets, sample=_clock.sample)


def _configure(job: dict[str, Any]) -> None:
    where = conninfo_to_dict(job["url"])
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": where["dbname"], "USER": where["user"]}
    settings.configure(
        DATABASES={"default": {**database, "HOST": where["host"], "PORT": where["port"], "CONN_MAX_AGE": None}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "drip"],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        EMAIL_BACKEND="benchmarks.work.django_drip.Transport",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        DRIP_MESSAGE_CLASSES={"default": "benchmarks.work.django_drip_message.LetterMessage"},
        SECRET_KEY="benchmark",
        USE_TZ=True,
        TIME_ZONE="UTC",
    )
    django.setup()
