"""Where are customers kept, and what is a request's transaction?"""

import os
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

engine = create_async_engine(os.environ["DRIPDROP_DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"

    email: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    plan: Mapped[str] = mapped_column(default="free")


async def session() -> AsyncIterator[AsyncSession]:
    """Committed when the route returns, rolled back when it raises."""
    async with AsyncSession(engine) as opened, opened.begin():
        yield opened
