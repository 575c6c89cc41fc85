"""What do the tests of the command line share?"""

from __future__ import annotations

import base64

KEY = base64.b64encode(bytes(range(32))).decode()

WELCOME = """
sequence: welcome
name: Welcome
class: transactional
exit_on: [cancelled]
steps:
  hello:
    channel: email
    subject: "Hello {{ first_name }}"
    text: "Hello {{ first_name }}, welcome."
    next: nudge
  nudge:
    channel: email
    timing: in 3 days
    subject: "Still there?"
    text: "Still there, {{ first_name }}?"
"""
