"""What is the same for every message of one claimed batch?  Worked out once, not a hundred times."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dripdrop.errors import DripDropError
from dripdrop.rules import path
from dripdrop.rules.claim import Claim
from dripdrop.rules.endings import Setting
from dripdrop.rules.message import AdapterRef, StepRef
from dripdrop.rules.outcome import Neither, OnDoubt

if TYPE_CHECKING:
    from dripdrop.config import Config
    from dripdrop.engine.runtime import Runtime
    from dripdrop.store.adapters import Adapter

_LOG = logging.getLogger("dripdrop.engine")


@dataclass(slots=True)
class Way:
    """How messages of one step leave through one adapter; `trouble` is the code of why none can.

    `direct` says that nobody is asked before such a message is made, and nobody waited for before it may leave: these
    go together.
    """

    adapter: Adapter | None
    step: StepRef
    ref: AdapterRef | None
    setting: Setting
    shortens: bool = False
    direct: bool = False
    provider: Any = None
    config: Mapping[str, Any] | None = None
    trouble: str | None = None

    @property
    def doubt(self) -> OnDoubt:
        """What the provider can do about a doubt."""
        return self.setting.on_doubt


class Batch:
    """The settings of this moment, and what the items of one batch would each ask anew."""

    __slots__ = ("_runtime", "_ways", "config")

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.config: Config = runtime.config()
        # By identity: a batch holds its claims, and so their steps and adapters, until its last message is out.
        self._ways: dict[tuple[int, int], Way] = {}

    def way(self, claim: Claim, adapter: Adapter | None) -> Way:
        """How the claim's message leaves through this adapter (None: there is none)."""
        key = (id(claim.step), id(adapter))
        known = self._ways.get(key)
        if known is None:
            known = self._ways[key] = self._find(claim, adapter)
        return known

    def _find(self, claim: Claim, adapter: Adapter | None) -> Way:
        """Never raises: what is wrong with a way is told of each message that would take it."""
        runtime, step, config = self._runtime, claim.step, self.config
        made = Way(
            adapter,
            StepRef(step.id, step.key, step.channel, step.name, step.config),
            adapter.ref if adapter is not None else None,
            Setting(config.default_timezone, runtime.on_doubt(adapter)),
        )
        try:
            made.shortens = runtime.shortens(claim, config)
            if adapter is None:
                return made
            made.provider = runtime.provider(adapter)
            made.config = runtime.call_config(adapter, claim.now, config.public_url)
            asks = path.questions(claim.version, step).gate.hooks
        except DripDropError as error:
            made.trouble = error.code
        except Exception:
            _LOG.exception("step %s has no way out through its adapter", step.key)
            made.trouble = "internal_error"
        else:
            waits = made.shortens or isinstance(made.doubt, Neither) or "token_source" in made.config
            made.direct = not asks and not waits
        return made
