"""Databases of tests: each worker's is a copy of one that was migrated once, and is emptied by deleting rows."""

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

MIGRATIONS = Path(__file__).resolve().parents[1] / "labeling" / "migrations"
LOCK = 7_066_363  # of the server; any number that nothing else takes
# What migrations leave behind. Django's flush throws it away and writes it anew after each test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def template(connection: Any) -> str:
    """The name of a migrated database on this server, made here when nobody has yet.

    Its name holds the migrations' hash: one of an older schema is never found. Copies are migrated all the same.
    """
    name = f"podium_template_{_hash_of_migrations()}"
    with connection._nodb_cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")  # another worker may be at it
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # until this connection is closed
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if not cursor.fetchone():
            _migrate(connection, f"{name}_new")
            cursor.execute(f"ALTER DATABASE {name}_new RENAME TO {name}")  # last: a half-made one has another name
    return name


def empty(connection: Any) -> None:
    """Delete all rows but those of migrations. As after TRUNCATE, which takes twenty times as long for a handful of
    rows, what others were writing has been waited for, and sequences go on."""
    tables = [name for name in connection.introspection.django_table_names(only_existing=False) if name not in KEPT]
    quoted = [connection.ops.quote_name(name) for name in sorted(tables)]
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(quoted)} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("; ".join(f"DELETE FROM {name}" for name in quoted))


def _migrate(connection: Any, name: str) -> None:
    test, before = connection.settings_dict["TEST"], connection.settings_dict["NAME"]
    own_name, test["NAME"] = test["NAME"], name
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    finally:
        connection.close()
        test["NAME"] = own_name
        connection.settings_dict["NAME"] = settings.DATABASES[connection.alias]["NAME"] = before


def _hash_of_migrations() -> str:
    digest = hashlib.sha256()
    for path in sorted(MIGRATIONS.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
