"""Does a host that migrates with Alembic or Django get our schema from a file of its own?"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from dripdrop.errors import Conflict, Invalid, NotFound, Refused
from dripdrop.integrations import alembic as wrapper
from dripdrop.store import catalogue, schema

NEWEST = schema.newest()
NEXT = NEWEST + 1
HERE, AFTER = f"dripdrop_{NEWEST:04d}", f"dripdrop_{NEXT:04d}"
ANOTHER = schema.Migration(NEXT, "later", "create table dripdrop.later (id integer default '1%'::text::char::int);")

ENV = """
import asyncio
from alembic import context
from sqlalchemy import create_engine, pool

url = context.config.get_main_option("sqlalchemy.url")

def run(connection):
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()

async def run_async():
    from sqlalchemy.ext.asyncio import create_async_engine
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()

if context.is_offline_mode():
    context.configure(url=url, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif "asyncpg" in url:
    asyncio.run(run_async())
else:
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        run(connection)
"""

FIRST_OF_HOST = """
from alembic import op
import sqlalchemy as sa
from typing import Sequence, Union
revision: str = "host_1"
down_revision: Union[str, Sequence[str], None] = {down!r}
def upgrade() -> None:
    op.create_table("host", sa.Column("id", sa.Integer))
def downgrade() -> None:
    op.drop_table("host")
"""


@pytest.fixture
def with_another(monkeypatch):
    """A function that makes this code know one more migration."""
    real = schema.migrations()
    return lambda: monkeypatch.setattr(schema, "migrations", lambda: (*real, ANOTHER))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of Alembic's with one revision of the host's own."""
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    (tmp_path / "versions" / "host_1.py").write_text(FIRST_OF_HOST.format(down=None))
    return tmp_path


def alembic(host: Path, url: str, driver: str = "psycopg"):
    """Alembic's commands, on a database: `alembic(host, url)("upgrade", "head")`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(host))
    config.set_main_option("sqlalchemy.url", url.replace("postgresql", f"postgresql+{driver}", 1).replace("%", "%%"))
    return lambda name, *args, **more: getattr(command, name)(config, *args, **more)


def test_the_revision_stands_on_the_head_and_can_be_run_twice(host, empty_database_url):
    file = wrapper.write_alembic(host)
    assert (file.parent.name, file.name) == ("versions", f"{HERE}.py")
    run = alembic(host, empty_database_url)
    run("upgrade", "head")
    assert catalogue.check_database(empty_database_url) == []
    run("stamp", "host_1")
    run("upgrade", "head")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select version_num from alembic_version").fetchone() == (HERE,)
        assert connection.execute("select count(*) from host").fetchone() == (0,)
    with pytest.raises(Refused, match="only goes forward"):
        run("downgrade", "host_1")


def test_it_leaves_alone_what_setup_did_before(host, empty_database_url):
    schema.migrate(empty_database_url)
    wrapper.write_alembic(host)
    alembic(host, empty_database_url)("upgrade", "head")
    assert catalogue.check_database(empty_database_url) == []


def test_an_asynchronous_host_runs_it_too(host, empty_database_url, with_another):
    pytest.importorskip("greenlet", reason="SQLAlchemy's asyncio needs greenlet")
    wrapper.write_alembic(host)
    with_another()
    wrapper.write_alembic(host)
    alembic(host, empty_database_url, "asyncpg")("upgrade", "head")
    assert catalogue.check_database(empty_database_url) == []


def test_a_later_upgrade_is_a_revision_of_its_own_with_the_new_numbers_only(host, empty_database_url, with_another):
    wrapper.write_alembic(host)
    with pytest.raises(Conflict, match=f"{HERE} wraps migration {NEWEST} of dripdrop already"):
        wrapper.write_alembic(host)
    run = alembic(host, empty_database_url)
    run("upgrade", "head")
    with_another()
    file = wrapper.write_alembic(host)
    text = file.read_text()
    assert f'down_revision = "{HERE}"' in text or f"down_revision = '{HERE}'" in text
    assert f"DRIPDROP_MIGRATIONS = ({NEXT},)" in text
    assert [finding.code for finding in catalogue.check_database(empty_database_url)] == ["old_schema"]
    run("upgrade", "head")
    assert catalogue.check_database(empty_database_url) == []


def test_an_old_revision_applies_its_own_numbers_only(host, empty_database_url, with_another):
    wrapper.write_alembic(host)
    with_another()
    run = alembic(host, empty_database_url)
    run("upgrade", HERE)
    with psycopg.connect(empty_database_url) as connection:
        assert schema.installed_on(connection) == NEWEST


def test_each_schema_has_revisions_of_its_own(host, empty_database_url):
    long = "a_rather_long_name_for_a_schema"
    names = [wrapper.write_alembic(host, name).stem for name in ("dripdrop", "mine", long, f"{long}_2")]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 32
    alembic(host, empty_database_url)("upgrade", "head")
    for name in ("dripdrop", "mine", long, f"{long}_2"):
        assert catalogue.check_database(empty_database_url, name) == []


def test_offline_it_prints_sql_that_makes_the_schema(host, empty_database_url, capsys):
    wrapper.write_alembic(host)
    alembic(host, empty_database_url)("upgrade", "head", sql=True)
    printed = capsys.readouterr().out
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(printed.encode())
    assert catalogue.check_database(empty_database_url) == []


def test_where_the_revision_belongs_must_be_clear(host, tmp_path):
    (host / "versions" / "other.py").write_text(FIRST_OF_HOST.replace("host_1", "other").format(down=None))
    with pytest.raises(Conflict, match="several heads: host_1, other"):
        wrapper.write_alembic(host)
    assert "down_revision = 'other'" in wrapper.write_alembic(host / "versions", after="other").read_text()
    (host / "empty").mkdir()
    with pytest.raises(NotFound, match="holds no Alembic revisions"):
        wrapper.write_alembic(host / "empty" / "nothing")
    (host / "versions" / "broken.py").write_text("def (")
    with pytest.raises(Invalid, match=r"broken\.py cannot be read"):
        wrapper.write_alembic(host, "mine")


def test_merged_branches_have_one_head(host):
    for name, down in (("a", "host_1"), ("b", "host_1"), ("m", ("a", "b"))):
        (host / "versions" / f"{name}.py").write_text(FIRST_OF_HOST.replace('"host_1"', repr(name)).format(down=down))
    assert "down_revision = 'm'" in wrapper.write_alembic(host).read_text()


# Django


@pytest.fixture
def project(tmp_path: Path, empty_database_url: str) -> Path:
    """A Django project with an app `shop` that has a model and a migration."""
    server = parse_qs(urlsplit(empty_database_url).query)
    shop = tmp_path / "shop"
    (shop / "migrations").mkdir(parents=True)
    for folder in (shop, shop / "migrations"):
        (folder / "__init__.py").touch()
    (shop / "models.py").write_text(
        "from django.db import models\nclass Order(models.Model):\n    number = models.IntegerField()\n"
    )
    name = urlsplit(empty_database_url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name.path[1:],
        "USER": name.username or "postgres",
        "PASSWORD": name.password or "",
        "HOST": server["host"][0] if "host" in server else name.hostname,
        "PORT": server["port"][0] if "port" in server else name.port,
    }
    lite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    (tmp_path / "settings.py").write_text(
        f"DATABASES = {{'default': {database!r}, 'lite': {lite!r}}}\n"
        "INSTALLED_APPS = ['shop']\nDEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'\n"
    )
    django(tmp_path, "call('makemigrations', 'shop', verbosity=0)")
    return tmp_path


def django(project: Path, code: str, *, fails: bool = False) -> str:
    """What a process of the project prints; in it `call` is call_command and `write` writes the wrapper."""
    head = """
        import django
        from django.core.management import call_command as call
        from dripdrop.integrations.django.wrappers import write_django as write
        from dripdrop.store import schema
        django.setup()
    """
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(project), *filter(None, sys.path)]),
    }
    program = [sys.executable, "-c", textwrap.dedent(head) + code]
    done = subprocess.run(program, cwd=project, env=env, capture_output=True, text=True, timeout=120)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def test_a_django_app_gets_a_migration_that_stands_on_its_last(project, empty_database_url):
    printed = django(
        project,
        "print(write('shop').name)\n"
        "call('migrate', verbosity=0)\n"
        "call('migrate', 'shop', '0001', fake=True, verbosity=0)\n"
        "call('migrate', verbosity=0)\n"
        "call('makemigrations', 'shop', check_changes=True, verbosity=0)\n"
        "from shop.models import Order; print(Order.objects.count())",
    )
    assert printed.split() == [f"0002_{HERE}.py", "0"]
    assert "('shop', '0001_initial')" in (project / "shop" / "migrations" / f"0002_{HERE}.py").read_text()
    assert catalogue.check_database(empty_database_url) == []
    trouble = django(project, "call('migrate', 'shop', '0001', verbosity=0)", fails=True)
    assert "DripDrop's schema only goes forward" in trouble
    assert f"Conflict: 0002_{HERE} wraps migration {NEWEST} of dripdrop already" in django(
        project, "write('shop')", fails=True
    )


def test_a_later_upgrade_is_a_django_migration_of_its_own(project, empty_database_url):
    django(project, "write('shop')\ncall('migrate', verbosity=0)")
    another = (
        f"real = schema.migrations()\nanother = schema.Migration({NEXT}, 'later', {ANOTHER.text!r})\n"
        "schema.migrations = lambda: (*real, another)\n"
    )
    printed = django(project, another + "print(write('shop').name)\ncall('migrate', verbosity=0)")
    assert printed.strip() == f"0003_{AFTER}.py"
    text = (project / "shop" / "migrations" / f"0003_{AFTER}.py").read_text()
    assert f"('shop', '0002_{HERE}')" in text
    assert f"DRIPDROP_MIGRATIONS = ({NEXT},)" in text
    with psycopg.connect(empty_database_url) as connection:
        assert schema.installed_on(connection) == NEXT


def test_a_django_migration_that_fails_leaves_nothing(project, empty_database_url):
    django(project, "write('shop')")
    broken = (
        "*real, last = schema.migrations()\n"
        "last = schema.Migration(last.number, last.name, last.text + 'select 1 / 0;')\n"
        "schema.migrations = lambda: (*real, last)\n"
    )
    assert "division by zero" in django(project, broken + "call('migrate', verbosity=0)", fails=True)
    assert [finding.code for finding in catalogue.check_database(empty_database_url)] == ["no_schema"]


def test_django_prints_the_sql_of_the_migration(project, empty_database_url):
    printed = django(project, "write('shop')\ncall('sqlmigrate', 'shop', '0002')")
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(printed.encode())
    assert catalogue.check_database(empty_database_url) == []


def test_a_database_that_is_not_postgres_is_refused(project):
    trouble = django(project, "write('shop')\ncall('migrate', database='lite', verbosity=0)", fails=True)
    assert "SchemaMismatch: The database 'lite' is sqlite." in trouble


def test_without_django_set_up_a_folder_is_enough(project, tmp_path):
    from dripdrop.integrations.django.wrappers import write_django

    file = write_django(str(project / "shop"))
    assert "('shop', '0001_initial')" in file.read_text()
    (project / "new").mkdir()
    assert write_django(str(project / "new"), "mine").name == f"0001_{HERE}_mine.py"
    with pytest.raises(NotFound, match="no Django app"):
        write_django(str(project / "nowhere"))


def test_several_last_migrations_are_refused(project):
    from dripdrop.integrations.django.wrappers import write_django

    leaf = "class Migration:\n    dependencies = [('shop', '0001_initial')]\n"
    for name in ("0002_a", "0002_b"):
        (project / "shop" / "migrations" / f"{name}.py").write_text(leaf)
    with pytest.raises(Conflict, match="several last migrations: 0002_a, 0002_b"):
        write_django(str(project / "shop"))
