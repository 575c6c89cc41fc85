"""DripDrop inside a Django project."""
