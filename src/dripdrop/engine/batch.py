"""What is the same for every message of one claimed batch?  Worked out once, not a hundred times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dripdrop.errors import DripDropError
from dripdrop.rules.claim import Claim
from dripdrop.rules.endings import Setting
from dripdrop.rules.message import AdapterRef, StepRef
from dripdrop.rules.outcome import OnDoubt

if TYPE_CHECKING:
    from datetime import datetime

    from dripdrop.config import Config
    from dripdrop.engine.runtime import Runtime
    from dripdrop.store.adapters import Adapter


@dataclass(slots=True)
class Outfit:
    """How messages leave through an adapter; `trouble` is the code of why none can."""

    adapter: Adapter
    ref: AdapterRef
    doubt: OnDoubt
    provider: Any = None
    config: Mapping[str, Any] | None = None
    trouble: str | None = None


class Batch:
    """The settings of this moment, and what the items of one batch would each ask anew."""

    __slots__ = ("_outfits", "_runtime", "_settings", "_shortens", "_steps", "config")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.config: Config = runtime.config()
        self._outfits: dict[UUID, Outfit] = {}
        self._settings: dict[UUID | None, Setting] = {}
        self._steps: dict[UUID, StepRef] = {}
        self._shortens: dict[UUID, bool] = {}

    def outfit(self, adapter: Adapter, now: datetime) -> Outfit:
        """How messages leave through this adapter."""
        known = self._outfits.get(adapter.id)
        if known is None:
            known = self._outfits[adapter.id] = self._equip(adapter, now)
        return known

    def setting(self, adapter: Adapter | None) -> Setting:
        """What deciding asks about this adapter."""
        key = adapter.id if adapter is not None else None
        known = self._settings.get(key)
        if known is None:
            doubt = self._runtime.on_doubt(adapter)
            known = self._settings[key] = Setting(self.config.default_timezone, doubt)
        return known

    def step(self, claim: Claim) -> StepRef:
        """What an adapter may know of the claim's step."""
        step = claim.step
        known = self._steps.get(step.id)
        if known is None:
            known = self._steps[step.id] = StepRef(step.id, step.key, step.channel, step.name, step.config)
        return known

    def shortens(self, claim: Claim) -> bool:
        """Whether the links of the claim's step are shortened."""
        known = self._shortens.get(claim.step.id)
        if known is None:
            known = self._shortens[claim.step.id] = self._runtime.shortens(claim, self.config)
        return known

    def _equip(self, adapter: Adapter, now: datetime) -> Outfit:
        runtime = self._runtime
        made = Outfit(adapter, adapter.ref, self.setting(adapter).on_doubt)
        try:
            made.provider = runtime.provider(adapter)
            made.config = runtime.call_config(adapter, now, self.config.public_url)
        except DripDropError as error:
            made.trouble = error.code
        return made
