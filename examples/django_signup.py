"""How does a Django project enroll in the transaction of its own models?

    DATABASE_URL=postgresql://... python examples/django_signup.py

One file holds the whole project; in yours, `drip` stands in a module such as shop/mail.py.
"""

from __future__ import annotations

import os

import django
from django.conf import settings
from django.db import connection, models, transaction
from psycopg.conninfo import conninfo_to_dict

from dripdrop import DripDrop
from dripdrop.integrations.django import joined

GIVEN = conninfo_to_dict(os.environ["DATABASE_URL"])
NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            **{name: str(GIVEN[key]) for name, key in NAMES.items() if key in GIVEN},
        }
    },
    USE_TZ=True,
    DRIPDROP=f"{__name__}.drip",
)
django.setup()

drip = DripDrop("default")

WELCOME = {
    "sequence": "welcome",
    "name": "Welcome",
    "steps": {"hello": {"channel": "email", "from": "ann@acme.example", "subject": "Hello", "text": "Hello."}},
}


class Person(models.Model):
    name = models.TextField(primary_key=True)

    class Meta:
        app_label = "shop"


class CardDeclined(Exception):
    """What can go wrong in a view after the enrollment and before the commit."""


@transaction.atomic
def sign_up(name: str, *, card_works: bool) -> None:
    """What a view does: with ATOMIC_REQUESTS, the request is the transaction."""
    Person.objects.create(name=name)
    joined().enroll("welcome", subscriber=("person", name), data={"email": f"{name}@example.org"})
    if not card_works:
        raise CardDeclined(name)


def main() -> None:
    drip.setup()
    drip.sequences.apply(WELCOME)
    with connection.schema_editor() as editor:
        editor.create_model(Person)
    sign_up("ann", card_works=True)
    try:
        sign_up("ben", card_works=False)
    except CardDeclined as declined:
        print(f"{declined} was declined")
    enrolled = [each.subscriber_id for each in drip.enrollments.list()]
    print(f"People: {Person.objects.count()}. Enrolled: {', '.join(enrolled)}")
    assert enrolled == ["ann"]
    drip.close()


if __name__ == "__main__":
    main()
