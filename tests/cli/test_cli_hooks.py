"""Hooks from the command line: made, listed, changed, tried out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SECRET = "s3cret-of-the-crm"


class Crm(BaseHTTPRequestHandler):
    answer: Any
    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        type(self).seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        status = self.answer if isinstance(self.answer, int) else 200
        body = b"" if isinstance(self.answer, int) else json.dumps(self.answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def crm() -> Iterator[Any]:
    handler = type("Handler", (Crm,), {"seen": [], "answer": {"data": {"score": 85}}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.host = f"localhost:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def hooked(welcome, crm, monkeypatch):
    monkeypatch.setenv("DRIPDROP_HTTP_ALLOW", crm.host)
    assert welcome("hooks", "create", "welcome/score", "--url", f"http://{crm.host}/{{{{ id }}}}", "--response-path",
                "data.score", "--header", "X-Team=growth", piped=f"bearer={SECRET}\n").status == 0  # fmt: skip
    return welcome


def test_without_hooks_the_list_says_how_to_make_one(welcome):
    said = welcome("hooks")
    assert said.status == 0
    assert "http_hooks:" in said.out + said.err


def test_a_hook_is_made_and_listed_without_its_credentials(hooked, crm):
    said = hooked("hooks", "--json")
    (hook,) = said.json["hooks"]
    assert (hook["key"], hook["auth_type"], hook["headers"]) == ("score", "bearer", {"X-Team": "growth"})
    assert "auth_sealed" not in hook
    text = hooked("hooks", "list", "welcome").out
    assert "welcome/score" in text
    assert SECRET not in said.out + text


def test_a_test_shows_the_value(hooked, crm):
    said = hooked("hooks", "test", "welcome/score", "--data", "id=7", "--json")
    assert (said.status, said.json["outcome"], said.json["value"]) == (0, "answered", 85)
    assert crm.seen[0]["path"] == "/7"
    assert crm.seen[0]["authorization"] == f"Bearer {SECRET}"
    assert "answered" in hooked("hooks", "--json").out


@pytest.mark.parametrize(("answer", "code"), [(503, "hook_unavailable"), (404, "hook_broken")])
def test_a_test_that_fails_is_exit_status_1(hooked, crm, answer, code):
    hooked("hooks", "update", "welcome/score", "--retry-count", "0")
    crm.answer = answer
    said = hooked("hooks", "test", "welcome/score", "--json")
    assert (said.status, said.error["code"]) == (1, code)
    assert f"http_{answer}" in said.error["message"]
    assert SECRET not in said.out + said.err


def test_a_change_names_what_changes(hooked):
    assert hooked("hooks", "update", "welcome/score", "--timeout-ms", "900", "--inactive").status == 0
    (hook,) = hooked("hooks", "--json").json["hooks"]
    assert (hook["timeout_ms"], hook["active"], hook["response_path"]) == (900, False, "data.score")
    assert hooked("hooks", "update", "welcome/score").status == 2


def test_a_dry_run_changes_nothing(hooked):
    assert hooked("hooks", "update", "welcome/score", "--timeout-ms", "900", "--dry-run").status == 0
    assert hooked("hooks", "--json").json["hooks"][0]["timeout_ms"] == 5000


def test_what_is_wrong_is_said_and_how_to_mend_it(hooked):
    said = hooked("hooks", "create", "welcome/other", "--url", "https://127.0.0.1/x", "--json")
    assert (said.status, said.error["code"]) == (1, "hook")
    assert said.error["findings"][0]["code"] == "url_blocked"
    assert hooked("hooks", "create", "other", "--url", "https://crm.example.com/").status == 2
    assert hooked("hooks", "test", "welcome/nothing", "--json").error["code"] == "not_found"
