"""How does an e-mail become one call to an e-mail API?  One file for each API; what they share is `provider`."""

from dripdrop.channels.email.mail import Mail, mailbox
from dripdrop.channels.email.provider import EmailProvider

__all__ = ["EmailProvider", "Mail", "mailbox"]
