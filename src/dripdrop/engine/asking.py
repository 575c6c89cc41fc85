"""What do hooks say before a message is made, or a way chosen?  Asked outside every transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from dripdrop.rules import gates, path
from dripdrop.rules.answers import Answer, Answered, Broken, Unavailable
from dripdrop.rules.entering import THRESHOLD
from dripdrop.rules.following import NoAnswer
from dripdrop.rules.onward import Known
from dripdrop.rules.outcome import Rejected

if TYPE_CHECKING:
    from dripdrop.engine.item import Item


async def informed(item: Item) -> bool:
    """Whether the message may be made, with what its hooks said; else it was put off, skipped or given up.

    One that the provider may have already is not asked for again: its recipe holds what was said then.
    """
    claim = item.claim
    if not claim.step.conditions or claim.in_doubt:
        return True
    hooks = path.questions(claim.version, claim.step).gate.hooks
    if not hooks:
        return True
    answer = await _ask(item, hooks)
    match answer:
        case Unavailable(hook=hook, reason=reason, retry_after=after):
            await item.close(NoAnswer(hook, reason, after))
            return False
        case Broken(hook=hook, reason=reason):
            detail = {"reason": "hook_broken", "hook": hook, "why": reason}
            await item.close(Rejected("permanent", "message", detail=detail))
            return False
        case Answered(values=values):
            claim.answers = values
        case _:
            assert_never(answer)
    judgement = gates.condition_holds(
        claim, gates.Circumstances(default_zone=item.config.default_timezone), informed=True
    )
    if not isinstance(judgement, gates.Pass):
        await item.close(judgement)
        return False
    return True


async def choose(item: Item) -> None:
    """Ask for the way on. What does not hold for want of an answer is told; the way is chosen when it is written."""
    claim = item.claim
    hooks = path.questions(claim.version, None if claim.step is THRESHOLD else claim.step).ways.hooks
    broken: dict[str, str] = {}
    while True:
        answer = await _ask(item, [hook for hook in hooks if hook not in broken])
        match answer:
            case Broken(hook=hook, reason=reason):
                broken[hook] = reason
                _tell(item, hook, reason)
            case Unavailable(hook=hook, reason=reason, retry_after=after):
                await item.close(NoAnswer(hook, reason, after))
                return
            case Answered(values=values):
                await item.close(Known(values, broken))
                return
            case _:
                assert_never(answer)


async def _ask(item: Item, hooks: Sequence[str]) -> Answer:
    """Within the lanes of these hooks; nobody waits for this item meanwhile."""
    claim, lanes = item.claim, item.owner.lanes
    wanted = [(claim.sequence_id, hook) for hook in hooks]
    if (full := lanes.full(wanted)) is not None:
        return Unavailable(full, "busy")
    item.past_open()
    item.past_close()
    with lanes.waiting(wanted):
        return await item.runtime.hooks.ask(hooks, item.runtime.subject(claim))


def _tell(item: Item, hook: str, reason: str) -> None:
    claim = item.claim
    item.runtime.telemetry.emit(
        "condition.fail_closed",
        metadata={
            "step_execution_id": str(claim.id),
            "sequence_key": claim.version.sequence_key,
            "step_key": claim.step.key,
            "condition_type": "hook",
            "hook_function": hook,
            "reason": reason,
        },
    )
