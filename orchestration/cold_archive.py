"""Months of raw tables as Parquet files, under any URL that fsspec knows: written, proven, read back.

A month leaves in steps that may each be the last: its file is written under a temporary name, read back
into the database, where it must say what the table says, renamed, entered in `ops.archive_files`, and only
then the table's rows go, by `ops.remove_month`, which has the last word. Done again, each step finds what
the one before has left. Values travel as PostgreSQL writes them, so JSON, arrays and vectors come back
exactly; what Parquet has a type for has it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import fsspec
import psycopg
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from psycopg import sql
from psycopg.types.json import Jsonb
from pyarrow import csv, parquet

from orchestration import database, server
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import date

Item = TypeVar("Item")

URL_VARIABLE = "AGENTBOOKS_ARCHIVE_URL"
BLOCK = 8 << 20
"""Bytes of rows that are handled at once; a longer row is handled alone."""
ROWS = 64 * 1024
"""Rows of a group in a file, and of a piece that is read back."""
MANIFEST = b"agentbooks"
ERASURE = "ops.erasure"
"""Lock that an erasure holds by itself: no month comes or goes between its look at files and at rows."""
LIFECYCLE = "ops.retention"
"""Lock of whoever decides what moves, and moves it: what two decide at once one of them finds gone."""
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}

TYPES = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "timestamp without time zone": pa.timestamp("us"),
}
"""What has no type here is text, as PostgreSQL writes it."""

COLUMNS = """
    select attname, format_type(atttypid, null), format_type(atttypid, atttypmod), attgenerated = ''
    from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped
    order by attnum
"""
# So that equal rows make an equal file, and what is near in time is near in the file.
ORDER = """
    select array[ops.month_clock(%(table)s::regclass)] || coalesce(array_agg(quote_ident(attname)), '{}')
    from pg_index
    inner join pg_attribute on attrelid = indrelid and attnum = any(indkey)
    where indrelid = %(table)s::regclass and indisprimary
"""
IS_MONTHLY = """
    select exists (
        select from pg_class
        where ops.relation_name(oid) = %s and relkind in ('r', 'p')
            and relnamespace <> to_regnamespace('archive') and ops.month_clock(oid) is not null
    )
"""
# What is archived of a table in one piece and of these months, for ops.is_due.
DUE = """
    select jsonb_build_object(
        'clock', clock,
        'from', date_trunc('month', %(first)s::timestamp) at time zone 'UTC',
        'before', (date_trunc('month', %(last)s::timestamp) + interval '1 month') at time zone 'UTC'
    )
    from ops.month_clocks
    where table_name = %(table)s
"""
# Months that have left the database, and those in the warm archive.
AWAY = """
    select month, true
    from ops.departures
    where table_name = %(table)s and removed_at is not null
        and month between date_trunc('month', %(first)s::timestamp) and %(last)s
    union
    select m.month, false
    from pg_inherits as i
    inner join pg_class as c on i.inhrelid = c.oid
    cross join lateral (
        select to_date(substring(c.relname from '_y([0-9]{4}m[0-9]{2})$'), 'YYYY"m"MM') as month
    ) as m
    where i.inhparent = ops.archive_of(%(table)s::regclass)
        and m.month between date_trunc('month', %(first)s::timestamp) and %(last)s
    order by 1
"""
MONTHS = """
    select month
    from ops.archive_files
    where table_name = %s and state = 'verified'
        and month between date_trunc('month', %s::timestamp) and %s
    order by month
"""
# The view of staging that reads a table, by itself or with its archive, and what it reads.
STAGED = """
    select distinct
        v.oid::regclass::text, read.oid::regclass::text, pg_get_viewdef(v.oid)
    from pg_depend as d
    inner join pg_rewrite as w on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
    inner join pg_class as v on w.ev_class = v.oid
    inner join pg_class as read on d.refclassid = 'pg_class'::regclass and d.refobjid = read.oid
    where v.relnamespace = to_regnamespace('staging')
        and read.oid in (
            to_regclass(%(table)s), to_regclass('history.' || ops.archive_name(%(table)s))
        )
"""
FILES = "select url, state from ops.archive_files where table_name = %s and month = %s"
CHECKSUMS = "select ops.column_checksums(%s, %s)"
CHECKSUMS_OF_FILE = (
    "select ops.column_checksums(%s, 'select * from pg_temp.read_back', 'pg_temp.read_back')"
)
HAS_LEFT = "select removed_at is not null from ops.departures where table_name = %s and month = %s"
WRITTEN_AS = (
    "set local search_path = ''",  # types with their schemas
    "set local time zone 'UTC'",
    "set local datestyle = 'ISO'",
    "set local intervalstyle = 'postgres'",
    "set local bytea_output = 'hex'",
    "set local extra_float_digits = 1",
)


class RefusedError(AgentbooksError):
    """The database says that this must not be done now.

    Attributes:
        kind: Of the refusal, as in ops.departure_refusals; None where the database names none.
    """

    kind: str | None = None


@dataclass(frozen=True)
class Archive:
    """A folder of files, wherever it is; `url` is anything that fsspec opens.

    It becomes what the database keeps of it: of a local folder the absolute path, however it was given.
    """

    url: str

    def __post_init__(self) -> None:
        url = self.url if self.url.endswith("://") else self.url.rstrip("/")
        if fsspec.core.split_protocol(self.url)[0] in (None, "file", "local"):
            url = os.path.normpath(fsspec.core.url_to_fs(self.url)[1])
        object.__setattr__(self, "url", url)

    @classmethod
    def chosen(cls) -> Archive:
        """Return the one that AGENTBOOKS_ARCHIVE_URL names, by default a folder beside the database's."""
        return cls(os.environ.get(URL_VARIABLE) or str(server.home() / "archive"))

    @cached_property
    def _place(self) -> tuple[Any, str]:
        try:
            files, path = fsspec.core.url_to_fs(self.url)
            if isinstance(files, MemoryFileSystem):
                raise ValueError("what is in memory is gone with the process")
            if fsspec.core.has_magic(path) and not isinstance(files, LocalFileSystem):
                raise ValueError("*, ? and [ make it a pattern, which may name other files")
        except Exception as error:  # each storage has its own
            raise AgentbooksError(
                f"archive: {self.url} cannot be opened ({error}); set {URL_VARIABLE} to a folder or a URL "
                "such as s3://bucket/folder."
            ) from error
        return files, path

    def file_url(self, table: str, month: date) -> str:
        """Where a month of a table is, or will be."""
        return f"{self.url}/{table}/{month:%Y-%m}.parquet"

    def put(self, local: Path, url: str) -> None:
        """Copy a file there, whole or not at all where the storage can do that."""
        files, path = self._file(url)
        with _told(f"cannot write {url}"):
            # An object store has no folders, and would make a bucket of a slip of the pen.
            protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
            if not OBJECT_STORES & protocols:
                files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.put_file(str(local), path)
            if isinstance(files, LocalFileSystem):
                _sync(Path(path))

    def put_proven(
        self, local: Path, url: str, sha256: str, is_proven: Callable[[Path], bool]
    ) -> None:
        """Move a file there, but give it its name only once what is read back is proven.

        Raises:
            AgentbooksError: It is not, or the storage refuses.
        """
        part = f"{url}.part"
        self.put(local, part)
        local.unlink()
        with self.fetched(part, sha256) as copy:
            if not is_proven(copy):
                raise AgentbooksError(
                    f"archive: what was written to {url} is not what it should be; nothing was removed. "
                    "Look after the storage and try again."
                )
        self.rename(part, url)

    def rename(self, url: str, new_url: str) -> None:
        """Give a file its final name, in place of what had it."""
        files, path = self._file(url)
        _, new_path = self._file(new_url)
        with _told(f"cannot rename {url}"):
            files.mv(path, new_path)
            if isinstance(files, LocalFileSystem):
                _sync(Path(new_path).parent)

    def remove(self, url: str) -> None:
        """Delete a file; one that is not there is deleted already."""
        files, path = self._file(url)
        with _told(f"cannot delete {url}"), suppress(FileNotFoundError):
            files.rm_file(path)
            if isinstance(files, LocalFileSystem):
                _sync(Path(path).parent)

    def contains(self, url: str) -> bool:
        """Say whether a file is in this archive, by its name."""
        return url.startswith(f"{self.url}/")

    def need_inside(self, url: str) -> None:
        """Refuse a file that is not in this archive: whatever were done here, it would stay there."""
        if not self.contains(url):
            raise AgentbooksError(
                f"archive: {url} is not in {self.url}; set {URL_VARIABLE} to the folder where it is, or move "
                "the files and say so in ops.archive_files."
            )

    def need(self, url: str) -> None:
        """Look whether a file is there.

        Raises:
            AgentbooksError: It is not, or not in this archive, or the storage refuses.
        """
        files, path = self._file(url)
        with _told(f"cannot look for {url}"):
            files.invalidate_cache()
            try:
                files.info(path)
            except FileNotFoundError as error:
                raise AgentbooksError(
                    f"archive: {url} is not there, and nothing says that it was deleted; look for it, and "
                    "if it is lost, set its state in ops.archive_files to purged."
                ) from error

    def check(self) -> None:
        """Write a file and delete it again, so that a storage without rights is told before the work."""
        with tempfile.NamedTemporaryFile() as probe:
            url = f"{self.url}/probe.part"
            self.put(Path(probe.name), url)
            self.remove(url)

    @contextmanager
    def fetched(self, url: str, sha256: str | None = None) -> Iterator[Path]:
        """Lend a local copy of a file.

        Raises:
            AgentbooksError: It is not there, cannot be read, or its bytes are not those of `sha256`.
        """
        files, path = self._file(url)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "file.parquet"
            with _told(f"cannot read {url}"):
                files.get_file(path, str(local))
            if sha256 is not None and sha256_of(local) != sha256:
                raise AgentbooksError(
                    f"archive: {url} is not the file that was archived (its checksum differs); put back the "
                    "right one from a copy of the storage."
                )
            yield local

    def _file(self, url: str) -> tuple[Any, str]:
        self.need_inside(url)
        files, root = self._place
        return files, root.rstrip("/") + url.removeprefix(self.url)


@dataclass(frozen=True)
class Columns:
    """Columns of a raw table: their names, their types in PostgreSQL, and in a file."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    schema: pa.Schema
    written: tuple[str, ...]
    """Those that are not computed from others."""

    @classmethod
    def of(cls, connection: psycopg.Connection, table: str, *, as_text: bool = False) -> Columns:
        """Look them up.

        Args:
            connection: To the database of the table.
            table: With its schema.
            as_text: Every value as text: for what only PostgreSQL can say, such as infinite times.
        """
        found = connection.execute(COLUMNS, (table,)).fetchall()
        return cls(
            tuple(row[0] for row in found),
            tuple(row[2] for row in found),
            pa.schema(
                [(row[0], pa.string() if as_text else _arrow_type(row[1], row[2])) for row in found]
            ),
            tuple(row[0] for row in found if row[3]),
        )


@dataclass(frozen=True)
class ArchivedMonth:
    """A file of a month and what is known of it: a row of `ops.archive_files`."""

    table: str
    month: date
    url: str
    rows: int
    size: int
    sha256: str


def export_month(
    connection: psycopg.Connection, archive: Archive, table: str, month: date
) -> ArchivedMonth:
    """Write a month of a raw table to its file, prove that file and table are equal, and enter it.

    Args:
        connection: In autocommit mode; what is read is one snapshot.
        archive: Where to.
        table: With its schema; one that is kept by months.
        month: Its first day.

    Raises:
        RefusedError: The month has left already.
        AgentbooksError: The storage refuses, or what is read back is not what the table says.
    """
    with _refused(), alone(connection, table, month):
        return _export_month(connection, archive, table, month)


def _export_month(
    connection: psycopg.Connection, archive: Archive, table: str, month: date
) -> ArchivedMonth:
    url = archive.file_url(table, month)
    if _one(connection, HAS_LEFT, (table, month)):
        raise RefusedError(
            f"archive: {month:%Y-%m} of {table} has left; restore it before it is archived again."
        )
    for old_url, _ in connection.execute(FILES, (table, month)).fetchall():
        archive.need_inside(old_url)
    # From here on the file may be another one than what is known of it.
    connection.execute(
        "update ops.archive_files set state = 'written' where table_name = %s and month = %s",
        (table, month),
    )
    note_loose_files(connection, table, month, [f"{url}.part", url])
    with connection.transaction(), tempfile.TemporaryDirectory() as folder:
        connection.execute("set transaction isolation level repeatable read")
        write_alike(connection)
        rows_sql, checksums = _measure(connection, table, month)
        columns = Columns.of(connection, table)
        local = Path(folder) / "file.parquet"
        types = dict(zip(columns.names, columns.types, strict=True))
        manifest = {
            "table": table,
            "month": f"{month:%Y-%m}",
            "checksums": {name: str(total) for name, total in checksums.items()},
            "types": types,
            "code_version": version("agentbooks"),
        }
        try:
            rows = write_rows(connection, columns, rows_sql, local, manifest)
        except pa.ArrowInvalid:
            columns = Columns.of(connection, table, as_text=True)
            rows = write_rows(connection, columns, rows_sql, local, manifest)
        size, sha256 = local.stat().st_size, sha256_of(local)
        archive.put_proven(
            local,
            url,
            sha256,
            lambda copy: read_back(connection, table, types, copy) == (rows, checksums),
        )
    with connection.transaction():
        replaced = connection.execute(
            "delete from ops.archive_files where table_name = %s and month = %s returning url",
            (table, month),
        ).fetchall()
        connection.execute(
            "insert into ops.archive_files"
            " (table_name, month, url, rows, bytes, sha256, checksums, schema, code_version, state)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'verified')",
            (
                table,
                month,
                url,
                rows,
                size,
                sha256,
                Jsonb(checksums),
                Jsonb(types),
                manifest["code_version"],
            ),
        )
    # An erasure has given it another name.
    for (old_url,) in replaced:
        if old_url != url:
            archive.remove(old_url)
    delete_loose_files(connection, archive, table, month)
    return ArchivedMonth(table, month, url, rows, size, sha256)


def note_loose_files(
    connection: psycopg.Connection, table: str, month: date, urls: list[str]
) -> None:
    """Note files of a month that are about to be written or replaced, for whoever comes after a crash."""
    connection.execute("select ops.note_loose_files(%s, %s, %s)", (table, month, urls))


def delete_loose_files(
    connection: psycopg.Connection,
    archive: Archive,
    table: str | None = None,
    month: date | None = None,
) -> None:
    """Delete files of this archive that have a successor, or never became one, of a month or of all."""
    loose = connection.execute(
        "select url, table_name, month from ops.loose_files"
        " where table_name = coalesce(%s, table_name) and month = coalesce(%s, month)",
        (table, month),
    )
    for url, of_table, of_month in loose.fetchall():
        if not archive.contains(url):
            continue
        with alone(connection, of_table, of_month):
            in_use = "select exists (select from ops.archive_files where url = %s)"
            if not _one(connection, in_use, (url,)):
                archive.remove(url)
            connection.execute("select ops.forget_loose_file(%s)", (url,))


def remove_month(
    connection: psycopg.Connection, archive: Archive, table: str, month: date
) -> ArchivedMonth:
    """Take a month out of the database: freeze what is computed from it, archive it, and let it go.

    Raises:
        RefusedError: The month may not leave; the sentence says why.
        AgentbooksError: As `export_month`.
    """
    with _refused(), alone(connection, table, month):
        connection.execute("select ops.freeze_month(%s, %s)", (table, month))
        try:
            archived = export_month(connection, archive, table, month)
            with archive.fetched(archived.url, archived.sha256):  # still what was read back
                connection.execute("select ops.remove_month(%s, %s)", (table, month))
        except (AgentbooksError, psycopg.Error):
            # It stays, so that what comes for it is to be counted, not to wait.
            with suppress(psycopg.Error):
                connection.execute("select ops.thaw_month(%s, %s)", (table, month))
            raise
    return archived


def purge_month(
    connection: psycopg.Connection, archive: Archive, table: str, month: date, policy: str
) -> int:
    """Delete the files of a month that has left, and leave a receipt; return how many rows they had.

    The receipt comes first: where this is cut short, the next try finds what is still to be deleted.

    Raises:
        AgentbooksError: The month has not left, a legal hold covers it, or the storage refuses. Nothing is
            touched where a file is not there that no try before has deleted.
    """
    with _refused(), alone(connection, table, month):
        for url, state in connection.execute(FILES, (table, month)).fetchall():
            if state != "purged":
                archive.need(url)
        rows = int(_one(connection, "select ops.purge_month(%s, %s, %s)", (table, month, policy)))
        for (url,) in connection.execute(
            "select url from ops.archive_files where table_name = %s and month = %s and state = 'purged'",
            (table, month),
        ).fetchall():
            archive.remove(url)
        connection.execute(
            "delete from ops.archive_files where table_name = %s and month = %s and state = 'purged'",
            (table, month),
        )
    return rows


def restore_month(connection: psycopg.Connection, archive: Archive, table: str, month: date) -> int:
    """Bring a month back into its table from its files; return how many rows it has now.

    The next refresh counts what came late for it. The files stay: they are overwritten when the month
    leaves again.

    Raises:
        AgentbooksError: It has not left, a file is missing or not the one that was archived, or the
            database refuses.
    """
    with _refused(), alone(connection, table, month), connection.transaction():
        staged = _one(connection, "select ops.stage_month(%s, %s)", (table, month))
        names = Columns.of(connection, staged).names
        batches = read_month(connection, archive, table, month, names)
        _copy_in(connection, sql.SQL(staged), names, _ahead(map(as_csv, batches)))
        return int(_one(connection, "select ops.restore_month(%s, %s)", (table, month)))


def restore(
    connection: psycopg.Connection, archive: Archive, table: str, first: date, last: date
) -> Iterator[str]:
    """Bring back every month of a period that has left its table, newest last, and tell of each in a line.

    Args:
        connection: In autocommit mode.
        archive: Where the files are.
        table: Raw table, with its schema.
        first: A day of the first month.
        last: A day of the last month.

    Raises:
        AgentbooksError: No months leave that table, nothing of the period has left, or as `restore_month`.
    """
    with _refused(), database.alone(connection, LIFECYCLE):
        _check_months(connection, table, first, last)
        months = connection.execute(AWAY, {"table": table, "first": first, "last": last}).fetchall()
        for month, has_left in months:
            if has_left:
                rows = restore_month(connection, archive, table, month)
            else:
                rows = _one(connection, "select ops.unarchive_month(%s, %s)", (table, month))
            yield f"{table} {month:%Y-%m}: {rows or 0:,} rows are back."
        # A table in one piece gets its files back into its archive first.
        try:
            rows = _unarchive(connection, table, first, last)
        except psycopg.errors.ForeignKeyViolation:
            if not months:
                raise
            yield f"{table}: they are in its archive, as what they hang under is; restore that, then these."
            return
        if rows:
            yield f"{table} {first:%Y-%m} to {last:%Y-%m}: {rows:,} rows are back from its archive."
        elif not months:
            raise AgentbooksError(
                f"archive: nothing of {table} from {first:%Y-%m} to {last:%Y-%m} has left it; all of it is "
                "there."
            )


def _check_months(connection: psycopg.Connection, table: str, first: date, last: date) -> None:
    if first.replace(day=1) > last:
        raise AgentbooksError(
            f"archive: {first:%Y-%m} is after {last:%Y-%m}; give the earlier month with --from."
        )
    if not _one(connection, IS_MONTHLY, (table,)):
        raise AgentbooksError(
            f'archive: "{table}" is no raw table that is kept by months; write it with its schema, as '
            "in seeds/retention_policies.csv."
        )


def _unarchive(connection: psycopg.Connection, table: str, first: date, last: date) -> int:
    """Move what is archived of a table in one piece back into it; return how many rows."""
    due = _one(connection, DUE, {"table": table, "first": first, "last": last})
    if due is None:
        return 0
    total = 0
    while rows := _one(connection, "select ops.unarchive_rows(%s, %s)", (table, Jsonb(due))):
        total += rows
    return total


def following(month: date) -> date:
    """Return the first day of the month after that of a day."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def read_month(
    connection: psycopg.Connection,
    archive: Archive,
    table: str,
    month: date,
    names: tuple[str, ...] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read what has left of a month, from its files as they are.

    Args:
        connection: To the database that knows of the files.
        archive: Where they are.
        table: With its schema.
        month: Its first day.
        names: Columns; all by default. One that is younger than a file is null.

    Raises:
        AgentbooksError: A file is missing, or not the one that was archived.
    """
    files = connection.execute(
        "select url, sha256 from ops.archive_files"
        " where table_name = %s and month = %s and state = 'verified' order by url",
        (table, month),
    ).fetchall()
    return _batches(archive, files, names)


def read_staged(
    connection: psycopg.Connection,
    archive: Archive,
    table: str,
    first: date,
    last: date,
    where: str = "true",
    *,
    is_verified: bool = False,
) -> Iterator[bytes]:
    """Read months that have left as staging shows them, as CSV with a header; nothing is restored.

    The rows pass through a temporary table, some at a time, and the staging view's own SQL.

    Args:
        connection: To a database with the staging view, in autocommit mode.
        archive: Where the files are.
        table: Raw table, with its schema.
        first: A day of the first month.
        last: A day of the last month.
        where: Condition on columns of the staging view, in SQL.
        is_verified: Whether to read each file twice, and to compare what it says with what was archived
            before the first of its rows.

    Raises:
        AgentbooksError: No file is of these months, dbt has not made the view, the condition cannot be
            asked, or a file is not what was archived.
    """
    with _refused(), connection.transaction():
        _check_months(connection, table, first, last)
        write_alike(connection)
        months = connection.execute(MONTHS, (table, first, last)).fetchall()
        if not months:
            raise AgentbooksError(
                f"archive: no file has {table} from {first:%Y-%m} to {last:%Y-%m}; "
                "what has not left is in the database."
            )
        found = connection.execute(STAGED, {"table": table}).fetchone()
        if found is None:
            raise AgentbooksError(
                f"archive: staging has no view of {table}; run `dbt build` first."
            )
        view, relation, definition = found
        name = relation.rpartition(".")[2]
        held = sql.Identifier("pg_temp", name)
        connection.execute(
            sql.SQL(
                "create temp table {} (like {} including defaults including generated) on commit drop"
            ).format(held, sql.Identifier(*table.split(".")))
        )
        columns = Columns.of(connection, table)
        # What a file lacks has its default, as it will have when it is back; if there is none, it is null.
        for column in columns.names:
            connection.execute(
                sql.SQL("alter table {} alter {} drop not null").format(
                    held, sql.Identifier(column)
                )
            )
        staged = sql.SQL("({}) as {}").format(
            sql.SQL(definition.rstrip(";").replace(f" {relation}", f" pg_temp.{name}")),
            sql.Identifier(view.rpartition(".")[2]),
        )
        header = "header"
        for (month,) in months:
            connection.execute("select ops.need_file_columns(%s, %s)", (table, month))
            if is_verified:
                _verify(connection, archive, table, month)
            for batch in read_month(connection, archive, table, month):
                names = tuple(name for name in columns.written if name in batch.schema.names)
                _copy_in(connection, held, names, [as_csv(batch.select(names))])
                query = sql.SQL(
                    "copy (select * from {} where {}) to stdout (format csv, {})"
                ).format(staged, sql.SQL(where), sql.SQL(header or "header false"))
                try:
                    with connection.cursor().copy(query) as copy:
                        yield from map(bytes, copy)
                except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
                    raise AgentbooksError(
                        f"archive: {where} cannot be asked of {view}: {error.diag.message_primary}."
                    ) from error
                header = ""
                connection.execute(sql.SQL("truncate {}").format(held))


def _verify(connection: psycopg.Connection, archive: Archive, table: str, month: date) -> None:
    """Let the database compare what the files of a month say, column by column, with what was archived."""
    for url, sha256, rows, checksums, types in connection.execute(
        "select url, sha256, rows, checksums, schema from ops.archive_files"
        " where table_name = %s and month = %s and state = 'verified' order by url",
        (table, month),
    ).fetchall():
        with archive.fetched(url, sha256) as local:
            found_rows, found = read_back(connection, table, types, local)
        wrong = [name for name, total in checksums.items() if found.get(name) != total]
        if wrong or found_rows != rows:
            raise AgentbooksError(
                f"archive: the rows in {url} are not those that were archived (they differ in "
                f"{', '.join(wrong) or 'number'}); put back the right file from a copy of the storage."
            )


def _copy_in(
    connection: psycopg.Connection,
    into: sql.Composable,
    names: tuple[str, ...],
    pieces: Iterable[bytes],
) -> int:
    """Copy rows as CSV into a table; return how many the database has taken."""
    query = sql.SQL("copy {} ({}) from stdin (format csv)").format(into, column_list(names))
    cursor = connection.cursor()
    with cursor.copy(query) as copy:
        for piece in pieces:
            copy.write(piece)
    return cursor.rowcount


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Make the next item while the database is at work on the last."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item


def _batches(
    archive: Archive, files: list[tuple[Any, ...]], names: tuple[str, ...] | None
) -> Iterator[pa.RecordBatch]:
    for url, sha256 in files:
        with archive.fetched(url, sha256) as local, parquet.ParquetFile(local) as file:
            for batch in file.iter_batches(ROWS):
                yield batch if names is None else _with_columns(batch, names)


def write_alike(connection: psycopg.Connection) -> None:
    """Have the database write values as files have them, until its transaction ends."""
    for setting in WRITTEN_AS:
        connection.execute(setting)


def _measure(
    connection: psycopg.Connection, table: str, month: date
) -> tuple[sql.Composed, dict[str, int]]:
    """Return a query of a month's rows in a fixed order, and their checksums by column."""
    rows_sql = _one(connection, "select ops.month_rows(%s, %s)", (table, month))
    checksums = _one(connection, CHECKSUMS, (table, rows_sql))
    order = _one(connection, ORDER, {"table": table})
    return sql.SQL("({}) as r order by {}").format(
        sql.SQL(rows_sql), sql.SQL(", ".join(order))
    ), checksums


def write_rows(
    connection: psycopg.Connection,
    columns: Columns,
    rows_sql: sql.Composable,
    path: Path,
    manifest: dict[str, Any],
) -> int:
    """Write rows to a local file with what is known of them; return how many they are."""
    rows = 0
    with parquet.ParquetWriter(path, columns.schema, compression="zstd") as writer:
        for table in copied_out(connection, columns, rows_sql):
            writer.write_table(table, row_group_size=ROWS)
            rows += len(table)
        writer.add_key_value_metadata({MANIFEST: json.dumps(manifest | {"rows": rows}).encode()})
    return rows


def read_back(
    connection: psycopg.Connection, table: str, types: dict[str, str], path: Path
) -> tuple[int, dict[str, int]]:
    """Let the database say how many rows a file has, and what their checksums are, some at a time.

    Args:
        connection: To the database of the table.
        table: With its schema.
        types: By column, as the file was written with: the table may have become another since.
        path: The file.
    """
    rows = 0
    names = tuple(types)
    checksums = dict.fromkeys(names, 0)
    read_back = sql.Identifier("pg_temp", "read_back")
    with connection.transaction(), parquet.ParquetFile(path) as file:
        write_alike(connection)
        columns = _one(connection, "select ops.file_columns(%s, %s)", (table, Jsonb(types)))
        connection.execute(sql.SQL("create temp table {} ({})").format(read_back, sql.SQL(columns)))
        batches = (_with_columns(batch, names) for batch in file.iter_batches(ROWS))
        for piece in _ahead(map(as_csv, batches)):
            rows += _copy_in(connection, read_back, names, [piece])
            of_piece = _one(connection, CHECKSUMS_OF_FILE, (table,))
            checksums = {name: total + of_piece[name] for name, total in checksums.items()}
            connection.execute("truncate pg_temp.read_back")
        connection.execute("drop table pg_temp.read_back")
    return rows, checksums


def rewritten_manifest(old: Path, rows: int, checksums: dict[str, int]) -> bytes:
    """Return what a file that takes the place of another says of itself."""
    metadata = parquet.read_metadata(old).metadata or {}
    manifest = json.loads(metadata[MANIFEST]) | {
        "rows": rows,
        "checksums": {name: str(total) for name, total in checksums.items()},
        "code_version": version("agentbooks"),
    }
    return json.dumps(manifest).encode()


def rewritten_url(url: str, sha256: str) -> str:
    """Name what takes a file's place by its content: written again after a crash, it is the same file."""
    return re.sub(r"(\.[0-9a-f]{12})?\.parquet$", f".{sha256[:12]}.parquet", url)


def copied_out(
    connection: psycopg.Connection, columns: Columns, rows_sql: sql.Composable
) -> Iterator[pa.Table]:
    """Copy rows out of the database, some megabytes at a time."""
    query = sql.SQL("copy (select {} from {}) to stdout (format csv)").format(
        column_list(columns.names), rows_sql
    )
    with connection.cursor().copy(query) as copy:
        block, size = [], 0
        for row in copy:
            block.append(bytes(row))
            size += len(row)
            if size >= BLOCK:
                yield _parsed(block, columns)
                block, size = [], 0
        if block:
            yield _parsed(block, columns)


def _parsed(block: list[bytes], columns: Columns) -> pa.Table:
    content = b"".join(block)
    return csv.read_csv(
        io.BytesIO(content),
        # One block, as rows are whole in it.
        read_options=csv.ReadOptions(column_names=columns.names, block_size=len(content) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=columns.schema,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def as_csv(batch: pa.RecordBatch) -> bytes:
    """Return rows as COPY takes them in format csv."""
    content = io.BytesIO()
    csv.write_csv(batch, content, csv.WriteOptions(include_header=False))
    return content.getvalue()


def _with_columns(batch: pa.RecordBatch, names: tuple[str, ...]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            batch[name] if name in batch.schema.names else pa.nulls(len(batch), pa.string())
            for name in names
        ],
        names=list(names),
    )


def _arrow_type(name: str, full_name: str) -> pa.DataType:
    if name == "numeric" and "(" in full_name:
        precision, _, scale = full_name.partition("(")[2].rstrip(")").partition(",")
        if int(precision) <= 38 and 0 <= int(scale or 0) <= int(precision):
            return pa.decimal128(int(precision), int(scale or 0))
    return TYPES.get(name, pa.string())


def sha256_of(path: Path) -> str:
    """Return a file's checksum in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before the rows go."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def column_list(names: tuple[str, ...]) -> sql.Composable:
    """Return names as a statement lists them."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _one(connection: psycopg.Connection, query: Any, parameters: Any = None) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in a sentence what a storage refused; each has errors of its own."""
    try:
        yield
    except AgentbooksError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AgentbooksError(
            f"archive: {what} ({reason}); check {URL_VARIABLE} and the rights to it."
        ) from error


@contextmanager
def _refused() -> Iterator[None]:
    """Say in a sentence what the database refused."""
    try:
        yield
    except (
        psycopg.errors.RaiseException,
        psycopg.errors.ObjectNotInPrerequisiteState,
        psycopg.errors.DataCorrupted,
        psycopg.errors.WrongObjectType,
        psycopg.errors.UndefinedTable,
        psycopg.errors.CannotCoerce,
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.LockNotAvailable,
        psycopg.errors.ForeignKeyViolation,
        psycopg.errors.CheckViolation,
    ) as error:
        refused = RefusedError(f"archive: {error.diag.message_primary}.")
        if isinstance(error, psycopg.errors.ObjectNotInPrerequisiteState):
            refused.kind = error.diag.constraint_name
        raise refused from error
    except (psycopg.OperationalError, psycopg.IntegrityError, psycopg.DataError) as error:
        reason = database.first_line(error)
        raise AgentbooksError(f"archive: {reason}.") from error


@contextmanager
def alone(connection: psycopg.Connection, table: str, month: date) -> Iterator[None]:
    """Keep others from the file of the same month, and wait for an erasure, which looks at all of them."""
    with (
        database.alone(connection, ERASURE, is_shared=True),
        database.alone(connection, f"ops.archive_files {table} {month}"),
    ):
        yield
