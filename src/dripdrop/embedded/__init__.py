"""Which PostgreSQL does somebody get who has none?  One of our own, in a folder, gone when its last user is."""

from dripdrop.embedded.binaries import available
from dripdrop.embedded.server import Server, start

__all__ = ["Server", "available", "start"]
