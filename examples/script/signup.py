"""Who signs up, and in which transaction are they enrolled?"""

import argparse
import os

import psycopg

from dripdrop import DripDrop

URL = os.environ["DRIPDROP_DATABASE_URL"]
drip = DripDrop(URL)


class CardDeclined(Exception):
    """It comes after the enrollment, and takes it back."""


def sign_up(name: str, email: str, plan: str, *, declined: bool) -> None:
    with psycopg.connect(URL) as connection:
        connection.execute("create table if not exists customers (email text primary key, name text, plan text)")
        connection.execute("insert into customers values (%s, %s, %s)", (email, name, plan))
        drip.using(connection).enroll("welcome", subscriber=("customer", email), data={"email": email, "name": name})
        if declined:
            raise CardDeclined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("email")
    parser.add_argument("--plan", default="free")
    parser.add_argument("--declined", action="store_true")
    given = parser.parse_args()
    try:
        sign_up(given.name, given.email, given.plan, declined=given.declined)
        print(f"Welcome, {given.name}.")
    except CardDeclined:
        print("The card was declined.")
    drip.close()


if __name__ == "__main__":
    main()
