"""Which e-mail does every side send? About 2.5 KB of HTML with a loop of six, and who gets it."""

from __future__ import annotations

from typing import Any

SENDER = ("Shop & Co", "shop@example.com")
SUBJECT = "{{ first_name }}, your basket of {{ plan }} is waiting"
TEXT = "Hello {{ first_name }},\n\nyour basket is still here: https://shop.example.com/basket/{{ basket }}\n"
_CELL = "padding:8px 12px;border-bottom:1px solid #e5e7eb;font-family:Helvetica,Arial,sans-serif;font-size:14px"
HTML = (
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Your basket</title></head>
<body style="margin:0;background:#f9fafb">
<table role="presentation" width="600" align="center" style="background:#ffffff;border-collapse:collapse">
<tr><td style="CELL"><h1 style="font-size:22px">Hello {{ first_name }}</h1>
<p>You are on the <strong>{{ plan }}</strong> plan, and these are still waiting for you in {{ city }}:</p></td></tr>
{% for item in items %}<tr><td style="CELL">
<a href="https://shop.example.com/item/{{ item.code }}" style="color:#2563eb">{{ item.name }}</a>
<span style="color:#6b7280">{{ item.quantity }} at {{ item.price }}</span></td></tr>
{% endfor %}<tr><td style="CELL">
{% if plan == "pro" %}<p>As a pro you have free delivery this week.</p>{% else %}<p>Delivery is 4.90.</p>
{% endif %}<p><a href="https://shop.example.com/basket/{{ basket }}" style="background:#2563eb;padding:12px">
Back to your basket</a></p></td></tr>
<tr><td style="CELL;color:#6b7280">Shop and Company, 1 Long Street, 12345 Springfield. You get this because you left a
basket behind. We keep it for thirty days and then we empty it; nothing else happens, nobody will call.</td></tr>
</table></body></html>
"""
).replace("CELL", _CELL)
_WARES = ("Teapot", "Cup & saucer", "Kettle", "Milk jug", "Sugar bowl", "Tray")


def address(number: int) -> str:
    return f"person{number}@example.org"


def number(address: str) -> int:
    """Whose address it is."""
    return int(address.partition("@")[0].removeprefix("person"))


def data(number: int) -> dict[str, Any]:
    """The data of person `number`: under 1 KB, plain JSON."""
    items = [
        {"name": name, "code": f"{number % 997}-{at}", "quantity": at + 1, "price": f"{5 + at}.90"}
        for at, name in enumerate(_WARES)
    ]
    return {
        "email": address(number),
        "first_name": f"Ann{number}",
        "plan": "pro" if number % 2 else "basic",
        "city": "Zürich",
        "basket": f"b{number:08d}",
        "items": items,
    }
