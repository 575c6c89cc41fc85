"""Which octets does a provider get that takes an e-mail whole (RFC 5322)?"""

from __future__ import annotations

from dripdrop.channels.email.mail import Mail
from dripdrop.contracts import Config
from dripdrop.rules import mail_headers
from dripdrop.rules.mail import build
from dripdrop.rules.message import Email


def octets(mail: Mail, config: Config, *, bcc: bool = False) -> bytes:
    """The e-mail with a Date and a Message-ID; the same octets for the same e-mail.

    `bcc` writes the Bcc header, for providers that read from it whom to send to, and take it out.
    """
    domain = mail.sender.email.rpartition("@")[2]
    email = Email(
        to=mail.to,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        sender=mail.sender,
        cc=mail.cc,
        reply_to=mail.reply_to,
        headers=mail.headers,
        attachments=(*mail.attachments, *mail.inline),
        date=mail.date or config["now"],
        message_id=mail.message_id or f"{mail.id}@{domain}",
    )
    hidden = mail_headers.address_list("Bcc", mail.bcc, "bcc") if bcc and mail.bcc else ""
    return hidden.encode("ascii") + build(email, boundary_seed=mail.id)
