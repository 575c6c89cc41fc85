"""Do the worked examples of docs/replies.md hand over what Gmail and Microsoft Graph tell of?

https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.history/list,
https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import httpx2
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "replies.md").read_text("utf-8")
MAIL = b"From: ann@example.org\r\nTo: news@example.com\r\nSubject: Re: Welcome\r\n\r\nThanks \xff!\r\n"


class Drip:
    """Keeps what it is handed."""

    def __init__(self):
        self.handed = []

    def ingest_raw_email(self, adapter, raw):
        self.handed.append((adapter, raw))


@pytest.fixture
def page(monkeypatch):
    """(functions of the page, what was handed over); `server` answers its calls."""

    def made(server):
        drip = Drip()
        client = httpx2.Client
        monkeypatch.setattr(httpx2, "Client", lambda **more: client(transport=httpx2.MockTransport(server), **more))
        names = {"drip": drip}
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            if "def gmail_pushed" in block or "def graph_notified" in block:
                exec(block, names)
        return names, drip.handed

    return made


def test_of_a_long_history_of_gmail_every_message_is_handed_over(page):
    pages = {
        None: {"history": [{"messagesAdded": [{"message": {"id": "m1"}}]}, {"id": "8"}], "nextPageToken": "p2"},
        "p2": {"history": [{"messagesAdded": [{"message": {"id": "m2"}}]}], "historyId": "9"},
    }

    def gmail(asked):
        assert asked.headers["authorization"] == "Bearer token-1"
        if asked.url.path.endswith("/history"):
            assert asked.url.params["startHistoryId"] == "7"
            return httpx2.Response(200, json=pages[asked.url.params.get("pageToken")])
        assert asked.url.params["format"] == "raw"
        raw = MAIL + asked.url.path.rpartition("/")[2].encode()
        return httpx2.Response(200, json={"raw": base64.urlsafe_b64encode(raw).decode().rstrip("=")})

    names, handed = page(gmail)
    assert names["gmail_pushed"]("token-1", "7") == "9"
    assert handed == [("mailbox", MAIL + b"m1"), ("mailbox", MAIL + b"m2")]


def test_of_graphs_notification_what_is_ours_is_handed_over(page):
    asked = []

    def graph(request):
        asked.append(str(request.url))
        return httpx2.Response(200, content=MAIL)

    told = {"subscriptionId": "7f105c7d", "changeType": "created", "resource": "me/messages/AAMk"}
    names, handed = page(graph)
    notification = {"value": [{**told, "clientState": "ours"}, {**told, "clientState": "forged"}]}
    names["graph_notified"]("token-1", notification, "ours")
    assert asked == ["https://graph.microsoft.com/v1.0/me/messages/AAMk/$value"]
    assert handed == [("mailbox", MAIL)]
