"""What becomes of an enrollment when the host's own transaction fails?  Nothing: it was never there.

DATABASE_URL=postgresql://... python examples/host_transaction.py
"""

from __future__ import annotations

import os

import psycopg

from dripdrop import DripDrop

WELCOME = {
    "sequence": "welcome",
    "name": "Welcome",
    "steps": {"hello": {"channel": "email", "from": "ann@acme.example", "subject": "Hello", "text": "Hello."}},
}


class CardDeclined(Exception):
    """What can go wrong in the host after the enrollment and before the commit."""


def sign_up(drip: DripDrop, connection: psycopg.Connection, name: str, *, card_works: bool) -> None:
    """One transaction: the user's row and the enrollment come to be together."""
    with connection.transaction():
        connection.execute("insert into users (name) values (%s)", [name])
        drip.using(connection).enroll("welcome", subscriber=("user", name), data={"email": f"{name}@example.org"})
        if not card_works:
            raise CardDeclined(name)


def main() -> None:
    url = os.environ["DATABASE_URL"]
    with DripDrop(url) as drip, psycopg.connect(url, autocommit=True) as connection:
        drip.setup()
        drip.sequences.apply(WELCOME)
        connection.execute("create table if not exists users (name text primary key)")
        sign_up(drip, connection, "ann", card_works=True)
        try:
            sign_up(drip, connection, "ben", card_works=False)
        except CardDeclined as declined:
            print(f"{declined} was declined")
        enrolled = [each.subscriber_id for each in drip.enrollments.list()]
        print(f"Enrolled: {', '.join(enrolled)}")
        assert enrolled == ["ann"]


if __name__ == "__main__":
    main()
