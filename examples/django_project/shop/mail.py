"""The project's DripDrop: on Django's own database, found by settings.DRIPDROP and by `--app shop.mail:drip`."""

import os

from dripdrop import DripDrop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

drip = DripDrop("default")
