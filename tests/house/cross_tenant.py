"""Which statements on tenants' tables name no tenant, and why may they?"""

# Work of the engine: whoever the row belongs to, it is due or held, and is fenced by its token.
WORKER = "a worker serves every tenant, and holds the row by its token"
# The id stands in a row that the same transaction read in the caller's scope or holds for a worker.
BY_ID = "by an id that the same transaction found in its scope, or holds in a claimed row"
AGE = "forgets what is old, whoever it was of, and tells nobody"
IDLE = "asks whether there is any work at all, and tells nobody whose"
SPECTATOR = "the demo looks on at a database that is all its own"

CROSS_TENANT: dict[str, str] = {
    "adapters.load": BY_ID,
    "events.data_of": BY_ID,
    "executions.advance_clock": IDLE,
    "executions.attempts_since": WORKER,
    "executions.claim_one": WORKER,
    "executions.forget_jobs": BY_ID,
    "executions.hand_back": WORKER,
    "executions.held_by": WORKER,
    "executions.landed": WORKER,
    "executions.last_attempts": WORKER,
    "executions.live_of": BY_ID,
    "executions.lock_enrollments": WORKER,
    "executions.next_due": IDLE,
    "executions.pending": IDLE,
    "executions.put_off_before": WORKER,
    "executions.repeats": WORKER,
    "executions.still_held": WORKER,
    "executions.take_again": WORKER,
    "executions.take_over": WORKER,
    "executions.version_of_step": BY_ID,
    "feedback.drop_proofs": "asks of any execution whether it is live, and tells nobody whose",
    "feedback.proven": WORKER,
    "inbox.called": BY_ID,
    "inbox.claim": "a worker serves every tenant; a request belongs to whoever took it up last",
    "inbox.claim_calls": "a worker serves every tenant; a call belongs to whoever took it up last",
    "inbox.finish": BY_ID,
    "inbox.next_due": IDLE,
    "inbox.not_called": BY_ID,
    "inbox.prune_requests": AGE,
    "sequences.active_id": BY_ID,
    "sequences.count_conditions": BY_ID,
    "sequences.in_use": "a global sequence is in use as soon as any tenant uses it",
    "sequences.load_conditions": BY_ID,
    "sequences.load_head": BY_ID,
    "sequences.load_steps": BY_ID,
    "sequences.load_transitions": BY_ID,
    "stops.in_force": "a worker needs the stops of all tenants, a handful, to open nothing that is stopped",
    "suppressions.sequence": BY_ID,
    "waits.hear": WORKER,
    "waits.watch": BY_ID,
    "workers.farewell": IDLE,
    "workers.forget_dead": IDLE,
    "watching.deeds": SPECTATOR,
    "watching.held": SPECTATOR,
    "watching.in_doubt": SPECTATOR,
    "watching.on_the_wire": SPECTATOR,
    "watching.progress": SPECTATOR,
}
