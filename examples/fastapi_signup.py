"""How does a FastAPI application enroll in the transaction of its own session?

    pip install fastapi 'sqlalchemy[asyncio]' psycopg
    DATABASE_URL=postgresql://... python examples/fastapi_signup.py

To serve it: uvicorn --app-dir examples fastapi_signup:app
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Annotated

import httpx2

try:
    from fastapi import Depends, FastAPI, HTTPException
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
except ImportError as missing:
    print(f"Not run: {missing}. This example needs fastapi and sqlalchemy[asyncio].")
    sys.exit()

from dripdrop import AsyncDripDrop
from dripdrop.integrations.fastapi import joined, lifespan

WELCOME = {
    "sequence": "welcome",
    "name": "Welcome",
    "steps": {"hello": {"channel": "email", "from": "ann@acme.example", "subject": "Hello", "text": "Hello."}},
}

engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1))
drip = AsyncDripDrop(engine)
app = FastAPI(lifespan=lifespan(drip))


async def session() -> AsyncIterator[AsyncSession]:
    """One transaction a request: committed when the route returns, rolled back when it raises."""
    async with AsyncSession(engine) as opened, opened.begin():
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
Drip = Annotated[AsyncDripDrop, Depends(joined(drip, session))]


@app.post("/people/{name}", status_code=201)
async def sign_up(name: str, card: str, session: Session, drip: Drip) -> dict[str, str]:
    await session.execute(text("insert into people (name) values (:name)"), {"name": name})
    enrolled = await drip.enroll("welcome", subscriber=("person", name), data={"email": f"{name}@example.org"})
    if card == "declined":
        raise HTTPException(402, "The card was declined.")
    return {"enrollment": str(enrolled.id)}


async def main() -> None:
    await drip.setup()
    await drip.sequences.apply(WELCOME)
    async with engine.begin() as connection:
        await connection.execute(text("create table if not exists people (name text primary key)"))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        for name, card in (("ann", "works"), ("ben", "declined")):
            answer = await client.post(f"/people/{name}", params={"card": card})
            print(f"{name}: {answer.status_code}")
    enrolled = [each.subscriber_id for each in await drip.enrollments.list()]
    print(f"Enrolled: {', '.join(enrolled)}")
    assert enrolled == ["ann"]
    await drip.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())
