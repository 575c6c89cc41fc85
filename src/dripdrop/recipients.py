"""When are two recipients the same? (`dripdrop.rules.recipients` under its public name.)"""

from dripdrop.rules.recipients import email_address, email_domain, is_email, normalize, recipient_domain

__all__ = ["email_address", "email_domain", "is_email", "normalize", "recipient_domain"]
