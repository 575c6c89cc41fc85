"""Who is at work, what time is it, and what is made ahead?"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from dripdrop.store import executions, inbox, suppressions, workers
from dripdrop.store.flow import Flow

PRUNED = 5_000


def register(now: datetime, name: str, *, lease: timedelta) -> Flow[UUID]:
    """Begin to work: a worker's row, with partitions for the months ahead in place before anything is claimed."""
    yield from workers.make_partitions(6)
    return (yield from workers.register(name, lease))


def heartbeat(now: datetime, worker: UUID, *, stopping: bool = False) -> Flow[bool]:
    """Still here; False where others have forgotten this worker."""
    return (yield from workers.heartbeat(worker, stopping=stopping))


def farewell(now: datetime, worker: UUID) -> Flow[None]:
    """Stop working."""
    yield from workers.farewell(worker)


def tidy(now: datetime, *, months: int = 6) -> Flow[int]:
    """Make partitions ahead, forget workers long dead; how many partitions were made."""
    yield from workers.forget_dead()
    return (yield from workers.make_partitions(months))


def prune(now: datetime, *, keep: timedelta, limit: int = PRUNED) -> Flow[bool]:
    """Forget what is older than `keep` of what came back, at most `limit` rows of each kind; whether more may be left.

    Requests go before the keys of their events: a request that can be replayed finds its events known.
    """
    before = now - keep
    requests = yield from inbox.prune_requests(before, limit)
    seen = (yield from inbox.prune_seen(before, limit)) if requests < limit else 0
    history = yield from suppressions.prune_history(before, limit)
    return max(requests, seen, history) >= limit


def pending(now: datetime) -> Flow[tuple[int, int]]:
    """(due and free, held): both 0 means idle."""
    return (yield from executions.pending(now))


def next_due(now: datetime) -> Flow[datetime | None]:
    """When the next execution, stored request or call to the host is due, if any is ahead."""
    ahead = [(yield from executions.next_due(now)), (yield from inbox.next_due(now))]
    return min((each for each in ahead if each is not None), default=None)


def advance_clock(now: datetime, to: datetime) -> Flow[bool]:
    """Move business time on to a moment; False while something is due or a lease is held."""
    return (yield from executions.advance_clock(now, to))


def clock_ahead(now: datetime) -> Flow[timedelta]:
    """How far business time is ahead of real time."""
    return (yield from executions.clock_ahead()) or timedelta()


def time(now: datetime) -> Flow[datetime]:
    """Business time itself."""
    yield from executions.clock_ahead()
    return now
