"""What does a host need to test its own sequences?"""

from dripdrop.testing.clock import FrozenClock
from dripdrop.testing.crashes import Died, count_queries, crash_points, die_at
from dripdrop.testing.providers import FakeProvider, Outbox

__all__ = ["Died", "FakeProvider", "FrozenClock", "Outbox", "count_queries", "crash_points", "die_at"]
