"""What does Debian's exim4 do with what we send? A real daemon on a loopback port, with a configuration of our own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template

from dripdrop.embedded import account

PROGRAM = "exim4"
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
# For a start, a queue run and a stop: only a daemon that hangs takes as long.
PATIENCE = 60

# The local part of a recipient, and the header X-Test, choose the answer; a sender at stops.example chooses where the
# server stops until somebody writes to the pipe.  What has no `message` is answered in exim's own words.
CONFIGURATION = Template(
    r"""
primary_hostname = mail.example.test
exim_user = $uid
exim_group = $gid
spool_directory = $folder/spool
log_file_path = $folder/%slog
pid_file_path = $folder/pid
keep_environment =
check_spool_space = 0
daemon_startup_retries = 0
queue_only
$settings
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_predata = predata
acl_smtp_data = data

begin acl
mail:
  warn    senders = mail@stops.example
          set acl_c_held = $${readfile{$folder/pipe}}
  accept
rcpt:
  warn    senders = rcpt@stops.example
          set acl_c_held = $${readfile{$folder/pipe}}
  deny    local_parts = nobody
          message = 550 5.1.1 <$$local_part@$$domain>: no such user
  deny    local_parts = blocked
          message = 550 5.7.1 <$$local_part@$$domain> is not for you
  defer   local_parts = greylisted
          condition = $${if !exists{$folder/known}}
          message = 451 4.7.1 Greylisted, come back later
  defer   local_parts = busy
          message = 450 4.2.1 Mailbox busy
  deny    local_parts = forbidden
  defer   local_parts = troubled
  deny    domains = elsewhere.example
          !authenticated = *
          message = relay not permitted
  require verify = recipient
  accept
predata:
  warn    senders = predata@stops.example
          set acl_c_held = $${readfile{$folder/pipe}}
  accept
data:
  warn    senders = data@stops.example
          set acl_c_held = $${readfile{$folder/pipe}}
  deny    condition = $${if eq{$$h_X-Test:}{spam}}
          message = 550 5.7.1 This is spam
  deny    condition = $${if eq{$$h_X-Test:}{malformed}}
          message = 554 5.6.0 Bad content
  deny    condition = $${if eq{$$h_X-Test:}{deny}}
  defer   condition = $${if eq{$$h_X-Test:}{scanner}}
          message = 451 4.3.0 The scanner is away
  defer   condition = $${if eq{$$h_X-Test:}{defer}}
  accept

begin routers
moved_on:
  driver = redirect
  local_parts = gone
  allow_fail
  data = :fail: moved on
on_its_way:
  driver = redirect
  local_parts = moving
  allow_defer
  data = :defer: is being moved
here:
  driver = accept
  local_parts = ! unknown
  transport = box

begin transports
box:
  driver = appendfile
  directory = $folder/mail
  maildir_format
  use_crlf
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_advertise_condition = $${if match{$logins}{PLAIN}}
  server_prompts = :
  server_condition = $${if and{{eq{$$auth2}{ann}}{eq{$$auth3}{secret}}}}
  server_set_id = $$auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_advertise_condition = $${if match{$logins}{LOGIN}}
  server_prompts = <| Username: | Password:
  server_condition = $${if and{{eq{$$auth1}{ann}}{eq{$$auth2}{secret}}}}
  server_set_id = $$auth1
"""
)


class Exim:
    """One daemon with its spool and its maildir. It queues what it takes; `delivered()` delivers it first."""

    def __init__(self, folder: Path, settings: str, logins: str, tls: tuple[Path, Path] | None, at_once: bool) -> None:
        self.folder, self.port, self._writer = folder, 0, -1
        self.log: list[str] = []
        self._account = account.of(folder)
        self._listening = ["-bdf", *(["-tls-on-connect"] if at_once else [])]
        if tls is not None:
            for name, path in zip(("cert.pem", "key.pem"), tls, strict=True):
                shutil.copyfile(path, folder / name)
            settings += f"\ntls_certificate = {folder}/cert.pem\ntls_privatekey = {folder}/key.pem"
        settings += f"\ntls_advertise_hosts = {'*' if tls else ''}"
        uid, gid = (os.getuid(), os.getgid()) if self._account is None else (self._account.uid, self._account.gid)
        text = CONFIGURATION.substitute(folder=folder, uid=uid, gid=gid, settings=settings, logins=logins or "none")
        (folder / "exim.conf").write_text(text, "utf-8")
        os.mkfifo(folder / "pipe")
        account.give(folder, self._account)

    def start(self) -> None:
        """Begin to listen, on the port of before if there was one; return once it does."""
        for _ in range(5):  # another process may take the port between our look and its use
            port = self.port or free_port()
            daemon = self._run([*self._listening, "-oX", f"127.0.0.1.{port}"])
            assert daemon.stderr is not None
            ready = False
            for line in daemon.stderr:
                self.log.append(line)
                if ready := "listening for SMTP" in line:
                    break
            if ready:
                self.port, self._daemon = port, daemon
                self._reader = threading.Thread(target=self.log.extend, args=(daemon.stderr,))
                self._reader.start()
                return
            daemon.communicate(timeout=PATIENCE)
        raise AssertionError("".join(self.log))

    def kill(self) -> None:
        """The power goes: the daemon and whoever of it talks to somebody."""
        if self._daemon.poll() is not None:
            return
        os.killpg(self._daemon.pid, signal.SIGKILL)
        self.let_go()
        self._daemon.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._daemon.stderr is not None
        self._daemon.stderr.close()

    def wait_until_held(self) -> None:
        """Return once it has reached the place where the sender makes it stop: it opens a pipe there, and so do we."""
        self._writer = os.open(self.folder / "pipe", os.O_WRONLY)

    def let_go(self) -> None:
        """Whoever waits at either end of the pipe goes on."""
        os.close(os.open(self.folder / "pipe", os.O_RDWR | os.O_NONBLOCK))
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def delivered(self) -> list[bytes]:
        """Run the queue, and return what then lies in the maildir, as it lies there."""
        runner = self._run(["-qf"])
        _, errors = runner.communicate(timeout=PATIENCE)
        assert runner.returncode == 0, errors
        return [path.read_bytes() for path in sorted((self.folder / "mail" / "new").glob("*"))]

    def _run(self, arguments: list[str]) -> subprocess.Popen[str]:
        program = shutil.which(PROGRAM, path=PLACES)
        assert program is not None
        return subprocess.Popen(
            [program, "-C", str(self.folder / "exim.conf"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd="/",
            start_new_session=True,
            **account.as_popen(self._account),
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def exim(
    settings: str = "", *, logins: str = "", tls: tuple[Path, Path] | None = None, at_once: bool = False
) -> Iterator[Exim]:
    """A running daemon; `settings` are main options of exim's, `logins` the ways it offers.

    `tls` is its certificate and key, for STARTTLS, or for every connection from its first byte on (`at_once`).

    Its folder lies beside those of pytest, which only their owner may enter.
    """
    with tempfile.TemporaryDirectory(prefix="dripdrop-exim-") as folder:
        server = Exim(Path(folder), settings, logins, tls, at_once)
        server.start()
        try:
            yield server
        finally:
            server.kill()
