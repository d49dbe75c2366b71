"""Which PostgreSQL schema holds the raw tables of each source system.

The project's texts name a schema as its system; `agentbooks bootstrap --schema` says another name
once, `ops.raw_schemas` keeps it, and what is run is rendered: here, and by `ops.in_raw_schemas` for
what dbt passes on. The names in archive and history stay those of the systems.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Iterable

    Schemas = dict[str, str]  # schema by system, of those that are not named as their system

SYSTEMS = ("raaf", "observability", "traceability", "chat", "agentic")
RESERVED = ("ops", "archive", "history", "seeds", "staging", "intermediate", "marts", "auth")
_ANY = f"(?:{'|'.join(SYSTEMS)})"
# Before a name, after the words that a schema alone stands behind, and as a regnamespace.
PLACES = re.compile(
    rf"""(?<![\w.$]){_ANY}(?="?\.["\w%])|(?<=schema\ ){_ANY}\b|(?<=schemaname\ =\ '){_ANY}(?=')"""
    rf"""|(?<='){_ANY}(?='::regnamespace)"""
)


def render(text: str, schemas: Schemas) -> str:
    """Write the schemas' names into a text that names them as their systems."""
    if not schemas:
        return text
    return PLACES.sub(lambda found: schemas.get(found[0], found[0]), text)


def parse(options: Iterable[str]) -> Schemas:
    """Read `system=schema` as given to a command.

    Raises:
        AgentbooksError: A system is unknown or a schema cannot hold it.
    """
    schemas: Schemas = {}
    for option in options:
        system, _, schema = option.partition("=")
        if system not in SYSTEMS or system in schemas:
            raise AgentbooksError(
                f"bootstrap: --schema {option} names no source system, or one twice; write "
                f"system=schema with one of {', '.join(SYSTEMS)}."
            )
        schemas[system] = schema
    named = {system: schemas.get(system, system) for system in SYSTEMS}
    for system, schema in named.items():
        if schema in RESERVED or schema.startswith("pg_") or schema == "information_schema":
            raise AgentbooksError(
                f"bootstrap: --schema {system}={schema} is a schema of agentbooks or of PostgreSQL "
                "itself; choose another."
            )
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise AgentbooksError(
                f"bootstrap: --schema {system}={schema} is no plain name; use small letters, digits "
                "and underscores, or rename that schema first."
            )
        others = [other for other in SYSTEMS if named[other] == schema and other != system]
        if others:
            raise AgentbooksError(
                f"bootstrap: {system} and {others[0]} cannot share schema {schema}, as names of "
                "their tables clash; give each its own with --schema."
            )
    return {system: schema for system, schema in schemas.items() if schema != system}


def read(connection: psycopg.Connection[Any]) -> Schemas:
    """Read the schemas that a database was bootstrapped with; none before."""
    # Whoever may not look has no business with raw tables.
    may_read = connection.execute(
        "select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')"
        " from pg_class as c join pg_namespace as n on c.relnamespace = n.oid"
        " where n.nspname = 'ops' and c.relname = 'raw_schemas'"
    ).fetchone()
    if may_read != (True,):
        return {}
    rows = connection.execute(
        "select system, schema_name from ops.raw_schemas where schema_name <> system"
    )
    return dict(rows.fetchall())


def cursor_factory(schemas: Schemas) -> type[psycopg.Cursor[Any]]:
    """Return a kind of cursor that renders every statement."""

    class RenderingCursor(psycopg.Cursor[Any]):
        def _rendered(self, query: Any) -> bytes:
            if isinstance(query, sql.Composable):
                query = query.as_bytes(self)
            text = query.decode() if isinstance(query, bytes) else query
            return render(text, schemas).encode()

        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            return super().execute(self._rendered(query), *arguments, **options)

        def executemany(self, query: Any, *arguments: Any, **options: Any) -> None:
            super().executemany(self._rendered(query), *arguments, **options)

        def stream(self, query: Any, *arguments: Any, **options: Any) -> Any:
            return super().stream(self._rendered(query), *arguments, **options)

        def copy(self, statement: Any, *arguments: Any, **options: Any) -> Any:
            return super().copy(self._rendered(statement), *arguments, **options)

    return RenderingCursor
