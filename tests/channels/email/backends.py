"""A backend of Django that we hold both ends of."""

from __future__ import annotations

import threading

from django.core.mail.backends.base import BaseEmailBackend

HEARD = []
STOPPED = threading.Event()


class Backend(BaseEmailBackend):
    """Keeps the messages it is given; `how` says what goes wrong instead, `raises` what is raised."""

    def __init__(self, how="", raises=None, count=1, **kwargs):
        super().__init__(**kwargs)
        self.how, self.raises, self.count = how, raises, count

    def open(self):
        if self.how == "refused":
            raise ConnectionRefusedError("nobody there")

    def send_messages(self, messages):
        HEARD.extend(messages)
        if self.how == "hangs":
            STOPPED.wait(10)
        if self.how == "lost":
            raise ConnectionResetError("hung up on ann@example.org")
        if self.raises is not None:
            raise self.raises
        return self.count
