"""How does a Django project get our schema?  Through a migration of one of its apps that runs ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from dripdrop.errors import Conflict, MissingExtra, NotFound, SchemaMismatch
from dripdrop.integrations import wrapping
from dripdrop.store import schema as schemas
from dripdrop.store.statements import DEFAULT_SCHEMA

try:
    import django
    from django.apps import apps
    from django.core.exceptions import ImproperlyConfigured
    from django.db import router
    from django.db.migrations.exceptions import IrreversibleError
    from django.db.migrations.loader import MigrationLoader
    from django.db.migrations.operations.base import Operation
except ImportError as missing:
    raise MissingExtra("The Django integration", "django") from missing

_MIGRATION = '''"""The schema of DripDrop."""

from django.db import migrations

from dripdrop.integrations.django.wrappers import ApplySchema

DRIPDROP_SCHEMA = "{schema}"
DRIPDROP_MIGRATIONS = {numbers!r}


class Migration(migrations.Migration):
    atomic = True

    dependencies = {dependencies!r}

    operations = [ApplySchema(DRIPDROP_SCHEMA, DRIPDROP_MIGRATIONS)]
'''


class ApplySchema(Operation):  # type: ignore[misc]
    """Applies our migrations of these numbers, in the transaction of Django's; what is there is left alone."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, schema: str, numbers: Sequence[int]) -> None:
        self.schema = schema
        self.numbers = tuple(numbers)

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Our tables are no models."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not router.allow_migrate(schema_editor.connection.alias, app_label):
            return
        if schema_editor.connection.vendor != "postgresql":
            raise SchemaMismatch(
                f"The database {schema_editor.connection.alias!r} is {schema_editor.connection.vendor}.",
                cure="DripDrop needs PostgreSQL; a database router can keep this app's migrations there.",
            )
        before, upto = self.numbers[0] - 1, self.numbers[-1]
        if schema_editor.collect_sql:
            schema_editor.collected_sql.append(schemas.script(self.schema, after=before, upto=upto))
            return
        with schema_editor.connection.cursor() as cursor:

            def ask(text: str) -> Sequence[Any] | None:
                cursor.execute(text)
                row: Sequence[Any] | None = cursor.fetchone() if cursor.description else None
                return row

            schemas.upgrade(ask, self.schema, upto, needed=before)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        raise IrreversibleError(
            "DripDrop's schema only goes forward. Stay above this migration, or pass it with `migrate --fake`; "
            "`drop schema` if you mean to lose the data."
        )

    def describe(self) -> str:
        return f"Apply DripDrop's schema {self.schema} up to {self.numbers[-1]:04d}"

    @property
    def migration_name_fragment(self) -> str:
        return f"dripdrop_{self.numbers[-1]:04d}"


def write_django(app: str, schema: str = DEFAULT_SCHEMA, *, folder: Path | None = None) -> Path:
    """Write a migration that brings our schema to its newest version; answers the file.

    Args:
        app: the label of an installed app, or the folder of an app.
        schema: the schema that will be made.
        folder: where the app's migrations are, where Django is not to be asked.

    Raises:
        NotFound: there is no such app.
        Conflict: all our migrations are wrapped already, or the app has several last migrations.
    """
    label, folder = (Path(app).name, folder) if folder else _located(app)
    there = wrapping.files(folder) if folder.is_dir() else []
    numbers = wrapping.unwrapped(there, schema)
    label, last = _last(label, there)
    suffix = "" if schema == DEFAULT_SCHEMA else f"_{schema}"
    file = folder / f"{_next_number(there):04d}_dripdrop_{numbers[-1]:04d}{suffix}.py"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    dependencies = [(label, last)] if last else []
    file.write_text(_MIGRATION.format(schema=schema, numbers=numbers, dependencies=dependencies), "utf-8")
    return file


def _located(app: str) -> tuple[str, Path]:
    """The label and the folder of migrations of an app: Django says, or else `app` is a folder itself."""
    try:
        if not apps.ready:
            django.setup()
        return app, _folder(app, Path(apps.get_app_config(app).path))
    except (LookupError, ImportError, ImproperlyConfigured) as trouble:
        if Path(app).is_dir():
            return Path(app).resolve().name, Path(app) / "migrations"
        raise NotFound(
            f"There is no Django app {app!r}: {trouble}", cure="Set DJANGO_SETTINGS_MODULE, or name the app's folder."
        ) from trouble


def _folder(label: str, home: Path) -> Path:
    module, _ = MigrationLoader.migrations_module(label)
    if module is None:
        raise Conflict(f"MIGRATION_MODULES turns off the migrations of {label!r}.", cure="Choose another app.")
    try:
        found = import_module(module).__file__
    except ImportError:
        found = None
    return Path(found).parent if found else home / "migrations"


def _last(label: str, there: Sequence[wrapping.Wrapped]) -> tuple[str, str | None]:
    """The app's label, as its migrations say it, and the name of the last of them."""
    names = {file.name for file in there if re.match(r"\d", file.name) or "dependencies" in file.values}
    needed = [each for file in there for each in (*_pairs(file, "dependencies"), *_pairs(file, "replaces"))]
    own = [said for said, name in needed if name in names]
    label = own[0] if own and label not in own else label
    leaves = sorted(names - {name for said, name in needed if said == label})
    if len(leaves) > 1:
        raise Conflict(f"{label} has several last migrations: {', '.join(leaves)}.", cure="Run: makemigrations --merge")
    return label, leaves[0] if leaves else None


def _pairs(file: wrapping.Wrapped, name: str) -> list[tuple[str, str]]:
    return [(pair[0], pair[1]) for pair in file.values.get(name) or () if isinstance(pair, tuple) and len(pair) == 2]


def _next_number(there: Sequence[wrapping.Wrapped]) -> int:
    numbers = [int(found[0]) for file in there if (found := re.match(r"\d+", file.name))]
    return max(numbers, default=0) + 1
