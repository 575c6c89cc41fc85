"""How is one message handed over on an open SMTP connection, and can it have been taken?"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence

from dripdrop.channels.leaving import about_to_leave
from dripdrop.channels.smtp_replies import Reply, refusal, refusal_of_all
from dripdrop.rules.outcome import Accepted, Outcome, Rejected, Unknown

_DOT = re.compile(rb"(?m)^\.")
_REPLY = re.compile(rb"[2-5][0-9]{2}(?:[ -]|$)")
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\s")
_LONGEST_LINE = 8_192
_LONGEST_REPLY = 65_536
# Up to here the whole message and its final dot go out in one write; beyond it the dot waits for the rest to be gone.
_ONE_WRITE = 65_536


class Lost(Exception):
    """The connection ended, or the other side does not speak SMTP; `reply` is its 421, if it said goodbye."""

    def __init__(self, reply: Reply | None = None) -> None:
        super().__init__("connection lost")
        self.reply = reply


class Dialogue(asyncio.Protocol):
    """One connection, after greeting, TLS and login. Serves one message at a time, many in a row.

    `usable`: whether another message may be tried. `left`: whether the end of the present message is on its way, so
    that the server may have taken it.
    """

    def __init__(self, transport: asyncio.Transport, extensions: Mapping[str, str], *, messages: int = 100) -> None:
        self.left = False
        self.extensions = {name.lower() for name in extensions}
        self._transport = transport
        self._messages = messages
        self._lost = False
        self._busy = False
        self._open_envelope = False
        self._expected = 0
        self._buffer = bytearray()
        self._lines: list[str] = []
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        transport.set_protocol(self)
        transport.set_write_buffer_limits(0)

    @property
    def usable(self) -> bool:
        return not (self._lost or self._busy or self._messages <= 0 or self._transport.is_closing())

    async def hand_over(
        self, sender: str, recipients: Sequence[str], message: bytes, *, person: str = "", smtputf8: bool = False
    ) -> Outcome:
        """Send one message with CRLF line ends. Addresses must be clean: they are written as they are.

        Accepted where the server took it for at least one recipient; `meta` then counts the refused ones. Unknown only
        where the end of the message had left and no reply came.
        """
        self.left, self._busy, self._messages = False, True, self._messages - 1
        try:
            outcome = await self._message(sender, recipients, message, person, smtputf8)
        except Lost as lost:
            if self.left:
                return Unknown({"reason": "connection_lost", "stage": "end"})
            return _not_taken(lost)
        self._busy = False
        return outcome

    async def noop(self) -> Reply:
        """Ask for a sign of life. Raises `Lost`."""
        return await self._one("NOOP")

    async def quit(self) -> None:
        """Take leave, and close whether or not it is answered."""
        try:
            if not self._lost and not self._busy:
                await self._one("QUIT")
        except Lost:
            pass
        finally:
            self._transport.close()

    async def _message(
        self, sender: str, recipients: Sequence[str], message: bytes, person: str, smtputf8: bool
    ) -> Outcome:
        mail, answers, data = await self._envelope(sender, recipients, len(message), smtputf8)
        if not mail.good:
            return refusal(mail, "mail")
        refused = [(each, answer) for each, answer in zip(recipients, answers, strict=True) if not answer.good]
        if len(refused) == len(recipients):
            if data is not None and data.code == 354:
                self._close()  # it waits for a message nobody would get: hanging up is the only way to take it back
            return refusal_of_all(refused, person)
        if data is None or data.code != 354:
            return refusal(data or Reply(503, ""), "data")
        self._open_envelope = False
        early = await self._content(_DOT.sub(b"..", message))
        end = early or await self._reply()
        if not end.good:
            if end.code == 421:
                self._close()
            return refusal(end, "end") if end.code >= 400 else Unknown({"reason": "reply", "reply": end.code})
        meta: dict[str, object] = {"reply": end.code, "receipt": end.shown}
        if refused:
            meta |= {"refused": len(refused), "refused_replies": [f"{r.code} {r.status}".strip() for _, r in refused]}
            meta["person_refused"] = any(each.lower() == person.lower() for each, _ in refused)
        return Accepted(None, meta)

    async def _envelope(
        self, sender: str, recipients: Sequence[str], size: int, smtputf8: bool
    ) -> tuple[Reply, list[Reply], Reply | None]:
        """The replies to MAIL, to each RCPT, and to DATA where it was asked."""
        options = f" SIZE={size}" if "size" in self.extensions else ""
        if smtputf8:
            options += " BODY=8BITMIME SMTPUTF8" if "8bitmime" in self.extensions else " SMTPUTF8"
        mail = [f"MAIL FROM:<{sender}>{options}"]
        rcpt = [f"RCPT TO:<{each}>" for each in recipients]
        reset = ["RSET"] if self._open_envelope else []
        self._open_envelope = True
        if "pipelining" in self.extensions:
            replies = (await self._ask([*reset, *mail, *rcpt, "DATA"]))[len(reset) :]
            return replies[0], replies[1:-1], replies[-1]
        for command in (*reset, *mail):
            first = await self._one(command)
        if not first.good:
            return first, [], None
        answers = [await self._one(each) for each in rcpt]
        wanted = any(answer.good for answer in answers)
        return first, answers, await self._one("DATA") if wanted else None

    async def _content(self, stuffed: bytes) -> Reply | None:
        """Write message and final dot; a reply that comes before the dot ends it and is returned."""
        if len(stuffed) <= _ONE_WRITE:
            self._expected += 1
            about_to_leave()
            self.left = not self._gone()
            self._write(stuffed + b".\r\n")
            return None
        self._expected += 1
        self._write(stuffed)
        while self._drained is not None and not (self._lost or self._replies):
            await self._drained
        if self._replies:
            early = self._replies.popleft()
            self._close()
            return early
        about_to_leave()
        self.left = not self._gone()
        self._write(b".\r\n")
        return None

    async def _ask(self, commands: Sequence[str]) -> list[Reply]:
        """Send commands together; one reply each."""
        self._expected += len(commands)
        self._write("".join(f"{command}\r\n" for command in commands).encode("utf-8"))
        replies: list[Reply] = []
        for _ in commands:
            replies.append(await self._reply())
            if replies[-1].code == 421:  # it closes the connection and answers nothing more
                self._close()
                raise Lost(replies[-1])
        return replies

    async def _one(self, command: str) -> Reply:
        return (await self._ask([command]))[0]

    async def _reply(self) -> Reply:
        while not self._replies:
            if self._lost:
                raise Lost
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._replies.popleft()

    def _gone(self) -> bool:
        return self._lost or self._transport.is_closing()

    def _write(self, data: bytes) -> None:
        if self._gone():
            raise Lost
        self._transport.write(data)

    def _close(self) -> None:
        self._lost = True
        self._transport.close()
        _settle(self._waiter)
        _settle(self._drained)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if not self._line(line):
                self._close()
                return
        if len(self._buffer) > _LONGEST_LINE or sum(map(len, self._lines)) > _LONGEST_REPLY:
            self._close()

    def _line(self, line: bytes) -> bool:
        """Take one line in; False where it is no reply, or none was asked for (a server saying goodbye)."""
        if not _REPLY.match(line) or len(line) > _LONGEST_LINE or not self._expected:
            return False
        text = line[4:].decode("utf-8", "replace").strip()
        self._lines.append(text)
        if line[3:4] == b"-":
            return True
        first, *rest = self._lines
        status = _STATUS.match(first)
        if status:  # multiline replies repeat it on each line
            rest = [each.removeprefix(status[0]) for each in rest]
        self._replies.append(Reply(int(line[:3]), " ".join([first, *rest])))
        self._lines = []
        self._expected -= 1
        _settle(self._waiter)
        _settle(self._drained)
        return True

    def eof_received(self) -> bool:
        self._close()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._close()

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        _settle(drained)


def _not_taken(lost: Lost) -> Rejected:
    if lost.reply is None:
        return Rejected("temporary", "adapter", None, {"reason": "connection_lost"})
    detail = {"reason": "connection_lost", "reply": lost.reply.code, "text": lost.reply.shown}
    return Rejected("temporary", "throttled", None, detail)


def _settle(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
