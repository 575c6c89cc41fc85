"""What do sequences want to know of a customer?"""

from sqlalchemy.ext.asyncio import AsyncSession

from .database import Customer, engine


class Customers:
    """`hooks: app.hooks:Customers` in a sequence."""

    async def handle_hook(self, name, enrollment, context):
        async with AsyncSession(engine) as session:
            customer = await session.get_one(Customer, enrollment["subscriber_id"])
        match name:
            case "plan":
                return customer.plan
        raise LookupError(name)
