"""What has the other side taken?  Its process, and its log as far as it is written."""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dripdrop.demo.processes import Trouble, first_line


@dataclass(slots=True)
class Mailroom:
    """`accepted` counts by token, `by_step` each token once; `refused` and `stalled` hold addresses and tokens; `links`
    and `short_links` are those to unsubscribe and to begin in the mail, by person.
    """

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    accepted: Counter[str] = field(default_factory=Counter)
    refused: set[str] = field(default_factory=set)
    stalled: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    short_links: dict[str, str] = field(default_factory=dict)
    by_step: Counter[str] = field(default_factory=Counter)
    _read_to: int = 0

    def look(self) -> None:
        """Take in what was written since the last look."""
        with self.log.open("rb") as file:
            file.seek(self._read_to)
            written = file.read()
        whole = written[: written.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        if self.process.poll() is not None:
            raise Trouble(f"The SMTP server ended by itself, with status {self.process.returncode}.")

    @property
    def size(self) -> int:
        """How much has been read of the log: it grows with everything that the server decides."""
        return self._read_to

    def come_to_rest(self) -> None:
        """Return when whatever came before this moment, from connections that are gone by now, is in the log."""
        for _ in range(2):
            with smtplib.SMTP("127.0.0.1", self.port, local_hostname="demo.example", timeout=10) as connection:
                connection.noop()
        self.look()

    def _take(self, line: dict[str, str]) -> None:
        match line["verdict"]:
            case "accepted":
                person, step, _ = line["token"].split("/")
                self.accepted[line["token"]] += 1
                self.by_step[step] += self.accepted[line["token"]] == 1
                if line["unsubscribe"]:
                    self.links[person] = line["unsubscribe"]
                if line["short_link"]:
                    self.short_links[person] = line["short_link"]
            case "refused":
                self.refused.add(line["to"])
            case "stalled":
                self.stalled.add(line["token"])


def open_mailroom(folder: Path) -> Mailroom:
    """Start the server; returns when it listens."""
    log, errors = folder / "received.jsonl", folder / "receiver.log"
    log.touch()
    with errors.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "dripdrop.demo.receiver", str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            start_new_session=True,
        )
    try:
        return Mailroom(process, int(first_line(process, errors, within=20.0)), log)
    except BaseException:
        process.kill()
        process.wait()
        raise
