"""Whose rows does an operation see?"""

from __future__ import annotations

from dataclasses import dataclass

from dripdrop.errors import Invalid


@dataclass(frozen=True, slots=True)
class Scope:
    """A tenant's view: its own rows, and global sequences, adapters and pools (its own first). '' is global."""

    tenant: str = ""

    @classmethod
    def of(cls, tenant: str | None) -> Scope:
        """The scope of a tenant; '' and None are refused, since they would silently mean everybody's rows."""
        if not isinstance(tenant, str) or not tenant.strip():
            raise Invalid(
                "A tenant key must be text that is not empty.",
                cure="Use the DripDrop object itself for the global scope.",
                code="tenant_key",
            )
        return cls(tenant)

    @property
    def shown(self) -> str | None:
        """How the API shows the tenant: None is global."""
        return self.tenant or None


GLOBAL = Scope()
