"""The application's DripDrop: on its own engine, found by `--app app.mail:drip`."""

from dripdrop import AsyncDripDrop

from .database import engine

drip = AsyncDripDrop(engine)
