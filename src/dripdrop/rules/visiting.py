"""What kind of program follows this link?"""

from __future__ import annotations

import re
from collections.abc import Mapping

PEOPLE = ("browser",)
_ROBOT = re.compile(
    r"(?<!cu)bot\b|bot[/_-]|crawl|spider|slurp|preview|scan|monitor|fetch|prefetch|headless|facebookexternalhit|whatsapp|"
    r"telegram|skype|discord|embedly|pingdom|google-read-aloud|googleimageproxy|yahoomailproxy|barracuda|mimecast|"
    r"proofpoint|safelinks|curl|wget|python|java/|okhttp|go-http|libwww|httpclient|axios|node|ruby|perl|php",
    re.IGNORECASE,
)
_PREFETCH = ("purpose", "sec-purpose", "x-purpose", "x-moz")


def agent(headers: Mapping[str, str]) -> str:
    """`prefetch`, `robot`, `browser` or `unknown`, by what the request says of itself; names in lower case."""
    if any(re.search("prefetch|preview|prerender", headers.get(name, ""), re.IGNORECASE) for name in _PREFETCH):
        return "prefetch"
    said = headers.get("user-agent", "")
    if _ROBOT.search(said):
        return "robot"
    return "browser" if said.startswith(("Mozilla/", "Opera/")) else "unknown"
