"""What can be asked over HTTP?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from dripdrop import AsyncDripDrop
from dripdrop.integrations import fastapi as dripdrop

from .database import Base, Customer, engine, session
from .mail import drip


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with dripdrop.lifespan(drip)(app):
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
app.mount("/mail", drip.asgi())  # links to unsubscribe, and short links

Session = Annotated[AsyncSession, Depends(session)]
Drip = Annotated[AsyncDripDrop, Depends(dripdrop.joined(drip, session))]


class SignUp(BaseModel):
    name: str
    email: str
    plan: str = "free"
    card: str = "works"


@app.post("/customers", status_code=201)
async def sign_up(person: SignUp, session: Session, drip: Drip) -> dict[str, str]:
    session.add(Customer(person.email, person.name, person.plan))
    await session.flush()
    enrolled = await drip.enroll(
        "welcome", subscriber=("customer", person.email), data={"email": person.email, "name": person.name}
    )
    if person.card == "declined":
        raise HTTPException(402, "The card was declined.")
    return {"enrollment": str(enrolled.id)}
