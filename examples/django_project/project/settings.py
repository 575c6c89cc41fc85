"""Which applications does this project have, and where is its database?"""

import os

from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["DRIPDROP_DATABASE_URL"])

SECRET_KEY = os.environ.get("SECRET_KEY", "only for development")
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "project.urls"
INSTALLED_APPS = ["shop"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given.get("dbname", ""),
        "USER": given.get("user", ""),
        "PASSWORD": given.get("password", ""),
        "HOST": given.get("host", ""),
        "PORT": given.get("port", ""),
    }
}

DRIPDROP = "shop.mail.drip"
