"""Mail that comes back is read as what it is: a person, a machine, a bounce, a complaint, a wish."""

from __future__ import annotations

from datetime import UTC, date, datetime
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dripdrop.rules import heard, inbound, mailbox, threads
from dripdrop.rules.feedback import InboundMessage
from dripdrop.rules.returning import return_date
from dripdrop.rules.threads import Candidate

AT = datetime(2030, 3, 1, 9, tzinfo=UTC)
OURS = UUID("01a20260-cb1a-79e3-876e-b0bef6ab3821")


def intent(text: str = "", subject: str = "Re: Welcome", channel: str = "email", **headers: str) -> str:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    message = InboundMessage("ann@example.org", "us@example.com", AT, "m", subject=subject, text=text, headers=pairs)
    return inbound.classify(message, channel, AT).intent


@pytest.mark.parametrize(
    "text",
    ["unsubscribe", "Please unsubscribe me from this list, thanks", "STOP", "Remove me from your mailing list!",
     "Bitte abmelden", "abmelden bitte", "Désinscription", "Darme de baja por favor", "Uitschrijven",
     "unsubscribe\n\nOn Mon, 3 Mar 2030 at 10:00, Bob <bob@example.com> wrote:\n> Do not unsubscribe"],
)  # fmt: skip
def test_who_wants_no_more_is_heard(text: str) -> None:
    assert intent(text) == "unsubscribe"


@pytest.mark.parametrize(
    "text",
    ["Don't unsubscribe me, I love it", "How do I unsubscribe my colleague, who has left?", "Stop by on Monday!",
     "Sounds good, call me", "Can you remove me from the trial and put me on the yearly plan instead?", ""],
)  # fmt: skip
def test_who_writes_something_else_is_not_let_go(text: str) -> None:
    assert intent(text) == "reply"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Auto_Submitted": "auto-replied"}, "auto_reply"),
        ({"Auto_Submitted": "auto-generated; owner-email=x"}, "auto_reply"),
        ({"Auto_Submitted": "no"}, "reply"),
        ({"X_Autoreply": "yes"}, "auto_reply"),
        ({"Precedence": "auto_reply"}, "auto_reply"),
        ({"Return_Path": "<>"}, "auto_reply"),
        ({"X_Auto_Response_Suppress": "All"}, "auto_reply"),
    ],
)
def test_a_machine_says_that_it_is_one(headers: dict[str, str], found: str) -> None:
    assert intent("Thank you, we have got your message.", **headers) == found


@pytest.mark.parametrize(
    "subject",
    ["Automatic reply: Welcome", "Out of Office: Welcome", "Abwesenheitsnotiz: Welcome", "Réponse automatique : x",
     "Respuesta automática: x", "Risposta automatica: x", "Automatisch antwoord: x", "不在のお知らせ"],
)  # fmt: skip
def test_a_subject_gives_a_machine_away(subject: str) -> None:
    assert intent("I am away.", subject) in ("ooo", "auto_reply")


@pytest.mark.parametrize(
    ("text", "found"),
    [("STOP", "unsubscribe"), ("stop.", "unsubscribe"), ("Unsubscribe", "unsubscribe"), ("START", "resubscribe"),
     ("Stop calling it a day", "reply"), ("Yes", "reply")],
)  # fmt: skip
def test_keywords_of_text_messages(text: str, found: str) -> None:
    assert intent(text, channel="sms") == found


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I will be back on March 14th, 2030", date(2030, 3, 14)),
        ("I am out of the office until 14 March", date(2030, 3, 14)),
        ("I am away through March 15", date(2030, 3, 16)),
        ("Returning Monday, March 18", date(2030, 3, 18)),
        ("back on 2030-03-14", date(2030, 3, 14)),
        ("Ich bin bis einschließlich 14.03.2030 nicht im Büro", date(2030, 3, 15)),
        ("wieder ab 18.03.", date(2030, 3, 18)),
        ("zurück am Montag, den 18. März 2030", date(2030, 3, 18)),
        ("de retour le 14 mars 2030", date(2030, 3, 14)),
        ("jusqu'au 14 mars", date(2030, 3, 15)),
        ("de vuelta el lunes 18 de marzo", date(2030, 3, 18)),
        ("rientro il 14 marzo", date(2030, 3, 14)),
        ("terug op 14 maart", date(2030, 3, 14)),
        ("de volta em 14 de março", date(2030, 3, 14)),
        ("away until 2 January", date(2031, 1, 2)),
        ("I return on 3/4/2030", None),
        ("back on 14 March 2029", None),
        ("back on 31 February", None),
        ("Our shop opened on March 14", None),
    ],
)
def test_the_day_somebody_comes_back(text: str, day: date | None) -> None:
    assert return_date(text, AT.date()) == day


def test_nine_in_the_morning_where_the_person_lives() -> None:
    read = inbound.Read("ooo", date(2030, 3, 14))
    assert heard.back_at(read, "Europe/Vienna") == datetime(2030, 3, 14, 8, tzinfo=UTC)


@given(st.text(max_size=400), st.text(max_size=80))
def test_no_text_breaks_the_reader(text: str, subject: str) -> None:
    intent(text, subject)
    return_date(text, AT.date())


@given(st.binary(max_size=2000))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    mailbox.read(raw, AT)


def test_a_thread_is_searched_from_its_newest_message() -> None:
    found = threads.of_reply("<direct@x>", ["<oldest@x>", "<newest@x>"], "provider-1")
    keys = [each.key for each in found if each.key and not each.key.startswith("<")]
    assert keys == ["direct@x", "newest@x", "oldest@x", "provider-1"]


def test_our_own_ids_need_no_table() -> None:
    assert threads.own_execution(f"<{OURS}.2@example.com>") == OURS
    assert threads.own_execution(f"{OURS}@example.com") is None
    assert threads.of_delivery(str(OURS), None) == (Candidate(execution=OURS),)
    assert threads.of_delivery("not-an-id", None) == ()


def test_sendgrids_suffix_is_taken_off() -> None:
    found = threads.of_delivery(None, "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0", provider="sendgrid")
    assert Candidate(key="14c5d75ce93") in found
    assert Candidate(key="14c5d75ce93") not in threads.of_delivery(None, "14c5d75ce93.dfd", provider="mailgun")


def test_a_reply_to_what_ses_sent_names_its_id_at_a_domain_of_its_own() -> None:
    for domain in ("email.amazonses.com", "eu-central-1.amazonses.com"):
        assert Candidate(key="010701e9") in threads.of_reply(f"<010701e9@{domain}>")
    assert Candidate(key="010701e9") not in threads.of_reply("<010701e9@notamazonses.com>")


def report(kind: str, part: str, fields: str, original: str) -> bytes:
    """A multipart/report as mail servers write it (RFC 6522)."""
    return (
        "From: MAILER-DAEMON@mx.example.net\r\nTo: us@example.com\r\nSubject: Undelivered\r\n"
        "Message-ID: <report@mx.example.net>\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        f"--b\r\nContent-Type: message/{part}\r\n\r\n{fields}\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{original}\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("action", "code", "status", "severity"),
    [
        ("failed", "5.1.1", "bounced", "permanent"),
        ("failed", "5.2.1", "bounced", "permanent"),
        ("failed", "5.2.2", "bounced", "temporary"),
        ("failed", "5.7.1", "blocked", "permanent"),
        ("failed", "4.4.7", "bounced", "temporary"),
        ("delayed", "4.4.1", "deferred", "temporary"),
        ("delivered", "2.0.0", "delivered", None),
    ],
)
def test_a_bounce_says_whom_and_why(action: str, code: str, status: str, severity: str | None) -> None:
    fields = (
        "Reporting-MTA: dns; mx.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; Ann@Example.org\r\nAction: {action}\r\nStatus: {code}\r\n\r\n"
        f"Final-Recipient: rfc822; bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    )
    raw = report("delivery-status", "delivery-status", fields, f"Message-ID: <{OURS}.0@example.com>\r\nSubject: Hi")
    mail = mailbox.read(raw, AT)
    assert mail.report is not None
    first, second = mail.report.feedback
    assert (first.recipient, first.status, first.severity, first.reason) == ("ann@example.org", status, severity, code)
    assert second.recipient == "bob@example.org"
    message = InboundMessage("", "", message_id="r", raw=raw)
    events = list(heard.of_message(message, channel="email", provider="imap", received=AT))
    assert [each.candidates[0] for each in events] == [Candidate(execution=OURS)] * 2
    assert len({each.key for each in events}) == 2


@pytest.mark.parametrize(("kind", "status"), [("abuse", "complained"), ("opt-out", "unsubscribed"), ("not-spam", None)])
def test_a_complaint_names_its_message(kind: str, status: str | None) -> None:
    fields = f"Feedback-Type: {kind}\r\nVersion: 1\r\nUser-Agent: x\r\nOriginal-Rcpt-To: <ann@example.org>\r\n"
    mail = mailbox.read(report("feedback-report", "feedback-report", fields, f"Message-ID: <{OURS}.0@example.com>"), AT)
    if status is None:
        assert mail.report is None
    else:
        assert mail.report is not None
        assert [(each.status, each.recipient) for each in mail.report.feedback] == [(status, "ann@example.org")]


def test_a_message_of_the_standard_library_is_read_whole() -> None:
    message = EmailMessage()
    message["From"] = "Änn <ann@example.org>"
    message["To"] = "us@example.com"
    message["Subject"] = "Grüße"
    message["Message-ID"] = "<one@example.org>"
    message["In-Reply-To"] = f"<{OURS}.0@example.com>"
    message["References"] = f"<zero@example.com> <{OURS}.0@example.com>"
    message.set_content("Schön!\n\nAm 1.3. schrieb us@example.com:\n> Hallo")
    message.add_alternative("<p>Schön!</p>", subtype="html")
    found = mailbox.read(message.as_bytes(), AT).message
    assert (found.sender, found.to, found.subject) == ("ann@example.org", "us@example.com", "Grüße")
    assert (found.message_id, found.in_reply_to) == ("one@example.org", f"{OURS}.0@example.com")
    assert found.references == ("zero@example.com", f"{OURS}.0@example.com")
    assert inbound.own_words(found.text or "") == "Schön!"
    assert "<p>" in (found.html or "")
