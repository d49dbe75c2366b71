"""Applies, reverts and checks `bootstrap_sql/`, the plain SQL that makes the raw schemas.

A change is a numbered file with a namesake in `revert/` and one in `verify/`. Each is applied and
verified in one transaction together with its row in `ops.schema_changes`, so a failure leaves
nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from orchestration import catalog, schemas
from orchestration.database import first_line
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestration.schemas import Schemas

FOLDER = Path(__file__).resolve().parent.parent / "bootstrap_sql"
OLDEST_SERVER = 15
TEXTS = ("deploy", "revert", "verify")
NEEDS_VECTOR = "-- requires: vector"
# Of a table that was taken over: what was made before, or what only an empty table takes.
ADOPTED = (
    r"^create table {table}\b",
    r"^create table \S+ partition of {table}\b",
    r"^alter table {table}(_default)?\b(?! disable trigger)",
    r"^create (unique )?index \S+ on {table}\b",
    r"^select ops\.create_month_partitions\( ?'{table}'",
    r"^(update|insert into|lock table|drop table|delete from) {table}\b",
    r"^insert into \S+ [^;]*\bfrom {table}\b",
    r"^drop (trigger|policy) \S+ on {table}\b",
    r"^(create|drop|comment on) schema {schema}\b",
)
# Strings, bodies and comments may hold semicolons.
TOKENS = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|begin atomic.*?\nend(?=;)|(;)", re.S
)
LOCK_KEY = 0x61676E74626F6F6B  # "agntbook": one bootstrap at a time in a database


@dataclass(frozen=True)
class Change:
    """One numbered file of `bootstrap_sql/` with its two companions."""

    version: str
    deploy: str
    revert: str
    verify: str
    checksum: str  # SHA-256 of the file that is applied, in hex

    @property
    def needs_vector(self) -> bool:
        """Whether the change needs pgvector, which PostgreSQL 15 may do without."""
        return self.deploy.startswith(NEEDS_VECTOR)

    def rendered(self, named: Schemas) -> Change:
        """The change with the schemas' names."""
        texts = {name: schemas.render(getattr(self, name), named) for name in TEXTS}
        return replace(self, **texts)

    def without(self, adopted: list[str]) -> Change:
        """The rendered change without what concerns tables that were taken over.

        If something is left out, the adoption looks itself whether everything is there.
        """
        if not adopted:
            return self
        names = {
            "table": "|".join(map(re.escape, adopted)),
            "schema": "|".join(sorted({re.escape(table.split(".")[0]) for table in adopted})),
        }
        pattern = re.compile(
            "|".join(line.format(**{k: f"(?:{v})" for k, v in names.items()}) for line in ADOPTED)
        )
        deploy, revert = (
            "".join(
                statement
                for statement in _statements(text)
                if not pattern.match(" ".join(re.sub(r"--[^\n]*", "", statement).split()))
            )
            for text in (self.deploy, self.revert)
        )
        verify = self.verify if deploy == self.deploy else ""
        return replace(self, deploy=deploy, revert=revert, verify=verify)


@dataclass(frozen=True)
class Status:
    """What a database knows of a change."""

    version: str
    state: str  # applied, pending, skipped (no pgvector), changed since
    applied_at: str | None


def _statements(script: str) -> Iterator[str]:
    start = 0
    for token in TOKENS.finditer(script):
        if token[2]:
            yield script[start : token.end()]
            start = token.end()
    yield script[start:]


def read_changes(folder: Path = FOLDER) -> list[Change]:
    """Read all changes in order.

    Raises:
        AgentbooksError: A companion is missing, or two changes share a number.
    """
    changes: list[Change] = []
    numbers: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        number = path.stem.split("_")[0]
        if number in numbers:
            raise AgentbooksError(
                f"bootstrap: {path.name} and {numbers[number]} share the number {number}; rename one."
            )
        numbers[number] = path.name
        for companion in ("revert", "verify"):
            if not (folder / companion / path.name).is_file():
                raise AgentbooksError(
                    f"bootstrap: {path.name} has no {companion}/{path.name}; write one."
                )
        deploy = path.read_text()
        changes.append(
            Change(
                version=path.stem,
                deploy=deploy,
                revert=(folder / "revert" / path.name).read_text(),
                verify=(folder / "verify" / path.name).read_text(),
                checksum=hashlib.sha256(deploy.encode()).hexdigest(),
            )
        )
    if not changes:
        raise AgentbooksError(f"bootstrap: no SQL files in {folder}; run from a whole checkout.")
    return changes


def status(connection: psycopg.Connection, folder: Path = FOLDER) -> list[Status]:
    """Tell for each change whether it is applied, pending, skipped or changed since.

    Raises:
        AgentbooksError: The database holds a change that the folder does not.
    """
    changes = read_changes(folder)
    applied = _applied(connection)
    _check_known(applied, changes, folder)
    has_vector = _vector_available(connection)
    result = []
    for change in changes:
        if change.version in applied:
            checksum, applied_at = applied[change.version]
            state = "applied" if checksum == change.checksum else "changed since"
        else:
            applied_at = None
            state = "skipped" if change.needs_vector and not has_vector else "pending"
        result.append(Status(change.version, state, applied_at))
    return result


def bootstrap(
    connection: psycopg.Connection,
    folder: Path = FOLDER,
    named: Schemas | None = None,
    *,
    adopting_up_to: str | None = None,
) -> list[str]:
    """Apply every pending change, make the coming months' partitions; return the changes' versions.

    Changes that need pgvector are left out on a PostgreSQL 15 without it.

    Args:
        connection: An open connection in autocommit mode.
        folder: Where the changes are.
        named: The raw schemas that are not named as their systems; none: as before.
        adopting_up_to: While tables are taken over: the number before which files are applied.

    Raises:
        AgentbooksError: The server does not fit, another bootstrap runs, an applied file has been
            edited, a raw schema would change its name or holds tables already, or a change fails
            (it is rolled back; those before it stay).
    """
    _check_server(connection)
    with _only_one(connection):
        named = _name_schemas(connection, named)
        adopted, is_done = _adopted(connection)
        if adopting_up_to is None:
            _check_room(connection, named, is_done)
        left_out = [] if is_done else adopted
        states = {row.version: row.state for row in status(connection, folder)}
        edited = [version for version, state in states.items() if state == "changed since"]
        if edited:
            raise AgentbooksError(
                f"bootstrap: {edited[0]}.sql was edited after it was applied; restore the file and "
                "put what you want to change into a new one."
            )
        if connection.execute("select to_regtype('public.vector')").fetchone() != (None,):
            # Loads pgvector, without which nobody but a superuser may name its settings.
            connection.execute("select '[1]'::public.vector")
        done: list[str] = []
        for change in read_changes(folder):
            if adopting_up_to is not None and change.version >= adopting_up_to:
                return done
            if states[change.version] == "pending":
                _apply(
                    connection,
                    change.rendered(named).without(left_out),
                    is_checked=adopting_up_to is None,
                )
                done.append(change.version)
        _call_if_there(connection, "ops.maintain_partitions(int)", "ops.maintain_partitions()")
        # Somebody may have altered them by hand since the last file.
        _call_if_there(connection, "ops.sync_archive_rights()")
        return done


def apply_all(connection: psycopg.Connection, named: Schemas) -> None:
    """Apply every change to a database that has none, within a transaction of the caller."""
    _check_server(connection)
    connection.execute(
        "select set_config('agentbooks.raw_schemas', %s, true)", (json.dumps(named),)
    )
    for change in read_changes():
        if not change.needs_vector or _vector_available(connection):
            _run(connection, change.rendered(named).deploy)
            connection.execute("reset role")
            _call_if_there(connection, "ops.sync_archives()")


def is_applied(connection: psycopg.Connection) -> bool:
    """Whether any change is."""
    return bool(_applied(connection))


def begin(connection: psycopg.Connection, named: Schemas, keep: Callable[[], None]) -> None:
    """Apply the first change together with what its caller has to keep in its tables."""
    with _only_one(connection), connection.transaction():
        if not _applied(connection):
            _name_schemas(connection, named)
            _apply(connection, read_changes()[0])
            keep()


def revert(
    connection: psycopg.Connection, to: str, folder: Path = FOLDER, *, is_adopting: bool = False
) -> list[str]:
    """Revert, newest first, every change that was made after `to`; return their versions.

    Args:
        connection: An open connection in autocommit mode.
        to: The version to go back to, which stays applied; `all` reverts everything.
        folder: Where the changes are.
        is_adopting: Whether tables that were taken over are given back: by `adopt.revert`.

    Raises:
        AgentbooksError: `to` is not an applied change, the database holds a change that the folder
            does not, or a revert fails (it is rolled back).
    """
    with _only_one(connection):
        applied = _applied(connection)
        if to != "all" and to not in applied:
            raise AgentbooksError(
                f"bootstrap: {to} is not an applied change; `agentbooks bootstrap --status` lists them."
            )
        changes = read_changes(folder)
        _check_known(applied, changes, folder)
        named = schemas.read(connection)
        adopted, _ = _adopted(connection)
        if adopted and not is_adopting:
            raise AgentbooksError(
                f"bootstrap: {adopted[0]} was taken over; give it back by `agentbooks bootstrap --revert`."
            )
        done = []
        for change in reversed(changes):
            if change.version in applied and (to == "all" or change.version > to):
                _revert(connection, change.rendered(named).without(adopted))
                done.append(change.version)
        return done


def verify(connection: psycopg.Connection, folder: Path = FOLDER) -> list[tuple[str, str | None]]:
    """Run the verify script of every applied change.

    Returns:
        Version and, where the check failed, what is missing.
    """
    applied = _applied(connection)
    named = schemas.read(connection)
    adopted, _ = _adopted(connection)
    result: list[tuple[str, str | None]] = []
    for change in read_changes(folder):
        if change.version not in applied:
            continue
        try:
            with connection.transaction(force_rollback=True):
                _run(connection, change.rendered(named).without(adopted).verify)
        except psycopg.Error as error:
            result.append((change.version, first_line(error)))
        else:
            result.append((change.version, None))
    return result


def _name_schemas(connection: psycopg.Connection, named: Schemas | None) -> Schemas:
    if not _applied(connection):
        # 000_foundation keeps them.
        connection.execute(
            "select set_config('agentbooks.raw_schemas', %s, false)", (json.dumps(named or {}),)
        )
        return named or {}
    kept = schemas.read(connection)
    for system, schema in (named or {}).items():
        if kept.get(system, system) != schema:
            raise AgentbooksError(
                f"bootstrap: {system} is in schema {kept.get(system, system)} here, not in {schema}; "
                "leave --schema out, or revert everything first."
            )
    return kept


def _adopted(connection: psycopg.Connection) -> tuple[list[str], bool]:
    if connection.execute("select to_regclass('ops.adopted_objects')").fetchone() == (None,):
        return [], True
    rows = connection.execute("select name, kind, is_done from ops.adopted_objects order by place")
    known = rows.fetchall()
    return [name for name, kind, _ in known if kind == "table"], all(done for *_, done in known)


def _check_room(connection: psycopg.Connection, named: Schemas, is_done: bool) -> None:
    if not is_done:
        raise AgentbooksError(
            "bootstrap: tables are being taken over here; end it by `agentbooks bootstrap --adopt --yes`."
        )
    if _applied(connection):
        return
    places = [named.get(system, system) for system in schemas.SYSTEMS]
    found = connection.execute(
        "select n.nspname from pg_namespace as n where n.nspname = any(%s) order by 1", (places,)
    ).fetchone()
    if found:
        raise AgentbooksError(
            f"bootstrap: schema {found[0]} is there already; take its tables over with --adopt, or "
            "name another with --schema."
        )


def _apply(connection: psycopg.Connection, change: Change, *, is_checked: bool = True) -> None:
    # What is locked while tables are taken over is in use: all is checked and recorded at the end.
    before = catalog.objects(connection) if is_checked else {}
    started = time.perf_counter()
    try:
        with connection.transaction():
            _run(connection, change.deploy)
            connection.execute("reset role")
            if is_checked:
                _call_if_there(connection, "ops.sync_archives()")
                _run(connection, change.verify)
            _log(connection, change, "applied", before if is_checked else None, started)
    except psycopg.Error as error:
        raise AgentbooksError(_failure(change, change.deploy, "failed", error)) from error


def _revert(connection: psycopg.Connection, change: Change) -> None:
    try:
        with connection.transaction():
            before, started = catalog.objects(connection), time.perf_counter()
            _run(connection, change.revert)
            if connection.execute("select to_regclass('ops.schema_changes')").fetchone() != (None,):
                _log(connection, change, "reverted", before, started)
    except psycopg.Error as error:
        raise AgentbooksError(
            _failure(change, change.revert, "could not be reverted", error)
        ) from error


def _log(
    connection: psycopg.Connection,
    change: Change,
    action: str,
    before: catalog.Objects | None,
    started: float,
) -> None:
    connection.execute(
        "insert into ops.schema_changes (version, action, checksum, execution_time_ms)"
        " values (%s, %s, %s, %s)",
        (change.version, action, change.checksum, round((time.perf_counter() - started) * 1000, 1)),
    )
    if before is not None:
        catalog.record(connection, change.version, before)


def _call_if_there(connection: psycopg.Connection, function: str, call: str | None = None) -> None:
    if connection.execute("select to_regprocedure(%s)", (function,)).fetchone() != (None,):
        connection.execute(f"select from {call or function}".encode())


def _run(connection: psycopg.Connection, script: str) -> None:
    """Run a whole file at once: without parameters psycopg sends several statements as they are."""
    if script:
        connection.execute(script.encode())


def _applied(connection: psycopg.Connection) -> dict[str, tuple[str, str]]:
    try:
        if connection.execute("select to_regclass('ops.schema_versions')").fetchone() == (None,):
            return {}
        rows = connection.execute(
            "select version, checksum, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')"
            " from ops.schema_versions"
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise AgentbooksError(
            f"bootstrap: {connection.info.user} may not see what is applied ({first_line(error)}); "
            "run it as the role that bootstrapped this database, or as a superuser."
        ) from error
    return {version: (checksum, applied_at) for version, checksum, applied_at in rows}


def _check_known(applied: dict[str, tuple[str, str]], changes: list[Change], folder: Path) -> None:
    unknown = sorted(applied.keys() - {change.version for change in changes})
    if unknown:
        raise AgentbooksError(
            f"bootstrap: the database has {unknown[0]} applied, which is not in {folder.name}; "
            "use the version of agentbooks that applied it, or a newer one."
        )


def _check_server(connection: psycopg.Connection) -> None:
    major = connection.info.server_version // 10000
    if major < OLDEST_SERVER:
        raise AgentbooksError(
            f"bootstrap: the server is PostgreSQL {major}; agentbooks needs {OLDEST_SERVER} or newer."
        )
    if major > OLDEST_SERVER and not _vector_available(connection):
        raise AgentbooksError(
            "bootstrap: the server has no pgvector; install it there (Debian: package "
            f"postgresql-{major}-pgvector; managed servers: allow the extension vector)."
        )
    may_create_roles = connection.execute(
        "select rolsuper or rolcreaterole and rolbypassrls and %s"
        " from pg_roles where rolname = current_user",
        (major > OLDEST_SERVER,),
    ).fetchone()
    missing_roles = connection.execute(
        "select count(*) < 8 from pg_roles where rolname in ('agentbooks_owner', 'agentbooks_loader',"
        " 'agentbooks_refresher', 'agentbooks_retention', 'bi_reader', 'service_role',"
        " 'authenticated', 'anon')"
    ).fetchone()
    if missing_roles == (True,) and may_create_roles != (True,):
        raise AgentbooksError(
            f"bootstrap: {connection.info.user} may not create roles; run it once as a superuser, or, "
            "from PostgreSQL 16 on, as a role with CREATEROLE and BYPASSRLS."
        )


def _vector_available(connection: psycopg.Connection) -> bool:
    row = connection.execute("select from pg_available_extensions where name = 'vector'").fetchone()
    return row is not None


@contextmanager
def _only_one(connection: psycopg.Connection) -> Iterator[None]:
    if connection.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone() != (True,):
        raise AgentbooksError(
            "bootstrap: another bootstrap of this database is running; wait for it to end."
        )
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (LOCK_KEY,))


def _failure(change: Change, script: str, what: str, error: psycopg.Error) -> str:
    position = error.diag.statement_position
    line = f" line {script[: int(position)].count(chr(10)) + 1}" if position else ""
    remedy = "mend it"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        remedy = "use a role that may do this, such as a superuser,"
    return (
        f"bootstrap: {change.version}{line} {what} and was rolled back: {first_line(error)}; "
        f"{remedy} and run `agentbooks bootstrap` again."
    )
