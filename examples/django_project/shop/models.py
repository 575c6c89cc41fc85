"""Who buys here?"""

from django.db import models


class Customer(models.Model):
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200)
    plan = models.CharField(max_length=20, default="free")

    def __str__(self) -> str:
        return self.name
