"""Where does a newcomer arrive, and for whom is the answer the same?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from dripdrop.errors import Refused
from dripdrop.rules import path
from dripdrop.rules.definition import Version
from dripdrop.rules.entering import THRESHOLD, Arrival, Reasons, arrive, zone_for
from dripdrop.rules.facts import Facts
from dripdrop.rules.zones import is_field

Answer: TypeAlias = tuple[Arrival, Reasons]


class Entrance:
    """The way into one version at one moment, for one person or a million.

    Where no way asks for facts, people of one zone arrive alike, and the way is looked up once for all of them.
    """

    def __init__(self, version: Version, now: datetime, default_zone: str) -> None:
        self._version = version
        self._now = now
        self._default_zone = default_zone
        self._hooks = list(path.questions(version, None).ways.hooks)
        self._alike = not any(way.conditions for way in version.transitions) and not any(
            is_field(step.config.get("timezone")) for step in version.steps
        )
        self._known: dict[tuple[Any, Any], Answer] = {}

    def arrival(self, data: Mapping[str, Any], starting_step: str | None) -> Answer:
        """Where a person with this data arrives, and what the journal tells of it.

        Raises Refused (`no_first_step`), Invalid (`unknown_step`).
        """
        kind = (starting_step, data.get("timezone"))
        if not self._alike or not all(each is None or isinstance(each, str) for each in kind):
            return self._looked_up(data, starting_step)
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = self._looked_up(data, starting_step)
        return found

    def _looked_up(self, data: Mapping[str, Any], starting_step: str | None) -> Answer:
        version, now = self._version, self._now
        first: dict[str, Any] = {"code": "enrolled", "version": version.number}
        if starting_step is None and self._hooks:
            told = {"code": "choosing", "hooks": self._hooks}
            return Arrival(None, now, "advance", (told,)), (first, told)
        zone, _ = zone_for(version, THRESHOLD, data, self._default_zone)
        known = Facts(data, sequence={"key": version.sequence_key}, now=now, zone=zone)
        way = path.first_step(version, starting_step, known)
        if not isinstance(way, path.Goto):
            raise Refused(
                f"{version.sequence_key} has no step for this person.",
                cure="Check its `start` and conditions.",
                code="no_first_step",
            )
        first["why"] = way.why
        arrival = arrive(version, way.step, data, now, self._default_zone)
        return arrival, (first, *arrival.told)
