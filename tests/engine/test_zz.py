from datetime import timedelta
from dripdrop import *
from dripdrop.testing import FakeProvider
import pytest

@pytest.mark.parametrize("second", [Rejected("temporary","adapter",detail={"reason":"connect"}), Rejected("temporary","throttled"), Rejected("temporary")])
async def test_dup(make_world, second):
    answers=[Unknown(), second, None]
    class P(FakeProvider):
        async def deliver(self, delivery, config):
            self.calls.append(delivery)
            a=answers.pop(0)
            if a is None or isinstance(a, Unknown): self.take(delivery)
            return a or Accepted("x")
    w=await make_world(P(on_doubt=Idempotent(), dedupe=True), {"sequence":"onboarding","name":"O","steps":{"welcome":{"channel":"email","subject":"W","text":"H"}}})
    e=await w.enroll()
    await w.drip.drain(until=w.clock.now()+timedelta(days=1))
    print([c.idempotency_key for c in w.provider.calls], await w.state(e))
    assert len(w.provider.outbox)==1
