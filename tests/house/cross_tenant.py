"""Which statements on tenants' tables name no tenant, and why may they?"""

# Work of the engine: the row was claimed, or is looked for, whoever it belongs to.
WORKER = "a worker serves every tenant"
# The id comes from a row of the same transaction that was read in the caller's scope.
BY_ID = "by the id of a row that the same transaction read in its scope"

CROSS_TENANT: dict[str, str] = {}
