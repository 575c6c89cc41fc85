"""What does the other side make of our mail?  An SMTP server that is not ours, in a process of its own.

It runs aiosmtpd on a free loopback port, prints that port, and writes a line of JSON for each message it decides about,
before it answers. Whom it treats how is a matter of the domain, as `MANNERS` says. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from email import message_from_bytes
from email.parser import BytesHeaderParser
from email.policy import default as MODERN
from typing import Any, TextIO

TOKEN = "X-DripDrop-Token"
NAME = "mx.demo.example"
_SHORT_LINK = re.compile(r"https://\S+/l/\w+")
# Below the two seconds that our side waits, and long enough to be killed in.
SLOW_SECONDS = 1.0
MANNERS = {
    "nobody.example": "refuses: 550 5.1.1, there is no such mailbox",
    "busy.example": "stalls: 451 4.3.2 for the first try of each message, then takes it",
    "slow.example": "takes the first message of each person at once, and is slow to say so",
    "sleepy.example": "is slow to let the first message of each person come",
}


class Mailboxes:
    """The handler that aiosmtpd calls."""

    def __init__(self, log: TextIO) -> None:
        self._log = log
        self._put_off: set[str] = set()
        self._known: set[str] = set()
        self._parser = BytesHeaderParser(policy=MODERN)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        domain = _domain(address)
        if domain == "nobody.example":
            self._note("refused", address)
            return "550 5.1.1 There is no such mailbox here"
        if domain == "sleepy.example" and self._first(address):
            await asyncio.sleep(SLOW_SECONDS)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Known here"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        address, headers = envelope.rcpt_tos[0], self._parser.parsebytes(envelope.content)
        token = str(headers[TOKEN] or "")
        if _domain(address) == "busy.example" and token not in self._put_off:
            self._put_off.add(token)
            self._note("stalled", address, token=token)
            return "451 4.3.2 Too busy just now, try again"
        # What stands in the log is taken, whether or not anybody is still there to hear the answer.
        listed = str(headers["List-Unsubscribe"] or "").strip("<>")
        link = _short_link(envelope.content) if "/nudge/" in token else ""
        self._note(
            "accepted", address, token=token, subject=str(headers["Subject"]), unsubscribe=listed, short_link=link
        )
        if _domain(address) == "slow.example" and self._first(address):
            await asyncio.sleep(SLOW_SECONDS)
        return "250 2.0.0 Taken"

    def _first(self, address: str) -> bool:
        new = address not in self._known
        self._known.add(address)
        return new

    def _note(self, verdict: str, address: str, **more: str) -> None:
        self._log.write(json.dumps({"verdict": verdict, "to": address, **more}, ensure_ascii=False) + "\n")
        self._log.flush()


def _short_link(content: bytes) -> str:
    """The first short link that a person would see in the text."""
    text = message_from_bytes(content, policy=MODERN).get_body(("plain",))
    found = _SHORT_LINK.search(text.get_content() if text is not None else "")
    return found[0] if found else ""


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


async def serve(log: TextIO) -> None:
    """Serve until the input ends; the port is the first line of the output."""
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 64) else ended.set())
    mailboxes = Mailboxes(log)
    server = await loop.create_server(
        lambda: SMTP(mailboxes, hostname=NAME, ident="demo", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        asyncio.run(serve(file))
