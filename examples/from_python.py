"""How does a sequence look when it is written in Python, and what does its mail look like?

    DATABASE_URL=postgresql://... python examples/from_python.py

Messages go to a mailbox on disk, `.dripdrop/mailbox`. The sequence is of the class `transactional`, so that it also
runs at night.
"""

from __future__ import annotations

import os

from dripdrop import DripDrop

RECEIPT = {
    "sequence": "receipt",
    "name": "Receipt",
    "class": "transactional",
    "steps": {
        "receipt": {
            "channel": "email",
            "from": "Acme <billing@acme.example>",
            "subject": "Your receipt {{ number }}",
            "text": "{% for item in items %}{{ item.name }}: {{ item.price }}\n{% endfor %}Thank you.",
        },
        "how_was_it": {
            "channel": "email",
            "timing": "in 5 days",
            "from": "Acme <ann@acme.example>",
            "subject": "How was it, {{ first_name }}?",
            "text": "A word back makes us better.",
        },
    },
}


def main() -> None:
    with DripDrop(os.environ["DATABASE_URL"]) as drip:
        drip.setup()
        drip.adapters.create("mailbox", channel="email", provider="local", is_default=True)
        drip.sequences.apply(RECEIPT)
        ann = drip.enroll(
            "receipt",
            subscriber=("user", "ann"),
            data={
                "email": "ann@example.org",
                "first_name": "Ann",
                "number": "2030-17",
                "items": [{"name": "Tea", "price": "3.20"}, {"name": "Cup", "price": "8.00"}],
            },
        )
        done = drip.run_due()
        explanation = drip.explain(enrollment=ann)
        print(f"{done.sent} sent. {explanation.sentence}")
        for entry in explanation.entries:
            print(f"  {entry.at:%Y-%m-%d %H:%M}  {entry.event}  {entry.reason or ''}")
        assert done.sent == 1


if __name__ == "__main__":
    main()
