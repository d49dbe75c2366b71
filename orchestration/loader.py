"""Loads files of agent runs into the raw tables: streamed, in batches, each in one transaction.

A file may be loaded again, beside another loader, or after a run that died: a run that is in the
registry `ops.loaded_runs` adds nothing. A record that cannot be taken is kept in
`ops.rejected_records` with the reason, and the rest loads.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import IO, TYPE_CHECKING

import psycopg
from psycopg import sql

from orchestration.agent_run import (
    COLUMNS,
    ParsedRun,
    Rejected,
    Row,
    RunRows,
    parse,
    rows_of,
    without_secrets_in,
)
from orchestration.encryption import Keys
from orchestration.errors import AgentbooksError
from orchestration.protection import CLEAR, Policy, Protector, note_keys, policies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date, datetime
    from pathlib import Path

BATCH_RECORDS = 2_000
BATCH_BYTES = 8 << 20
LONGEST_LINE = 32 << 20
KEPT_HEAD = 64 << 10
GZIP_MAGIC = b"\x1f\x8b"
LOAD_LOCK = 0x61676E746C6F6164  # "agntload": one batch at a time, so that no two wait on each other

# Tables partitioned by month, with the place of the event time among the columns written.
PARTITIONED = {
    "observability.spans": "started_at",
    "agentic.conversation_history": "created_at",
    "agentic.agent_decisions": "created_at",
    "traceability.pattern_usage_log": "used_at",
}
SHARED = {"agentic.agents": "agent_id", "traceability.success_patterns": "id"}
"""Tables whose rows several runs share: the first one writes them."""


@dataclass(frozen=True)
class Record:
    """One line of a file; of a line that is too long only the head is held."""

    number: int
    head: bytes
    length: int
    sha256: bytes
    line: bytes | None


@dataclass
class Rejection:
    """A record that was not taken, and why."""

    record: Record
    reason: str


@dataclass
class LoadSummary:
    """What became of the records of one or more files."""

    files: int = 0
    loaded: int = 0
    already_loaded: int = 0
    rejected: int = 0
    naive_times: int = 0
    undated: int = 0
    redacted: int = 0
    """Places in which something was replaced that `ops.protected_columns` lets nobody read."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows written by table, but for the tables that runs share."""
    reasons: Counter[str] = field(default_factory=Counter)

    def sentence(self) -> str:
        """Say in one line what happened."""
        parts = [f"{self.loaded:,} runs loaded", f"{self.already_loaded:,} already there"]
        parts.append(
            f"{self.rejected:,} rejected and kept in ops.rejected_records"
            if self.rejected
            else "none rejected"
        )
        if self.redacted:
            parts.append(f"{self.redacted:,} places redacted as ops.protected_columns says")
        return ", ".join(parts) + "."


def load_agent_runs(
    connection: psycopg.Connection,
    paths: Sequence[Path],
    undated_as: date | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> LoadSummary:
    """Load files of agent runs, plain or gzip.

    Args:
        connection: An open connection in autocommit mode, of a role that may act as
            `agentbooks_loader`.
        paths: The files.
        undated_as: The day taken for runs without any start time; without it they are rejected.
        progress: Called with the number of bytes that were read since the last call.

    Raises:
        AgentbooksError: A file cannot be read to its end (what stood before is loaded), the
            database is not bootstrapped, the role may not load, or a key is another than before.
    """
    protection = _protection(connection)
    summary = LoadSummary()
    for path in paths:
        summary.files += 1
        batches = (_prepare(batch, undated_as, protection) for batch in _batches(path, progress))
        for batch in _one_ahead(batches):
            _load_batch(connection, _name(path), batch, summary)
    return summary


def read_records(path: Path, progress: Callable[[int], None]) -> Iterator[Record]:
    """Yield the lines of a file, holding at most one of `LONGEST_LINE` in memory.

    Raises:
        AgentbooksError: The file is missing, unreadable, or a gzip file that is cut off.
    """
    number = 0
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            reader: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            told = 0
            while line := reader.readline(LONGEST_LINE):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                record = _record(number, line, reader)
                if record.line is None or record.line.strip():
                    yield record
                progress(raw.tell() - told)
                told = raw.tell()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise AgentbooksError(
            f"load: {path} is a broken gzip file after line {number} ({error}); the lines before it "
            "are loaded, fetch the file again and load it once more."
        ) from error
    except OSError as error:
        raise AgentbooksError(
            f"load: cannot read {path} ({error.strerror}); check the name and its rights."
        ) from error


def _record(number: int, line: bytes, reader: IO[bytes] | gzip.GzipFile) -> Record:
    digest = hashlib.sha256(line.rstrip(b"\r\n"))
    if len(line) < LONGEST_LINE or line.endswith(b"\n"):
        line = line.rstrip(b"\r\n")
        return Record(number, line[:KEPT_HEAD], len(line), digest.digest(), line)
    length = len(line)
    while more := reader.readline(1 << 20):
        digest.update(more.rstrip(b"\n"))
        length += len(more.rstrip(b"\n"))
        if more.endswith(b"\n"):
            break
    return Record(number, line[:KEPT_HEAD], length, digest.digest(), None)


def _batches(path: Path, progress: Callable[[int], None]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    try:
        for record in read_records(path, progress):
            batch.append(record)
            size += record.length if record.line is not None else KEPT_HEAD
            if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    except AgentbooksError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


@dataclass
class _Candidate:
    """A record that passed the checks of its fields, with its rows or what keeps it from any."""

    record: Record
    run: ParsedRun
    rows: RunRows
    flaw: str | None = None

    @property
    def run_id(self) -> str:
        """The run's id in its source."""
        return self.run.run.run_id


@dataclass
class _Batch:
    """Records of a file, ready to be written."""

    candidates: list[_Candidate] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def _one_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Prepare the next batch while the database writes the last one."""
    with ThreadPoolExecutor(1, "agentbooks-load") as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


@dataclass(frozen=True)
class _Protection:
    """What is to be encrypted or redacted in rows before they are written."""

    protector: Protector
    policies: list[Policy]

    def apply(self, rows: RunRows) -> int:
        """Do it; return how many places were redacted."""
        places = 0
        for policy in self.policies:
            columns = COLUMNS[policy.table_name]
            place = columns.index(policy.column_name)
            identity = [columns.index(name) for name in policy.identity]
            written = rows.rows[policy.table_name]
            for number, row in enumerate(written):
                if row[place] is None:
                    continue
                # Whatever it looks like, a source wrote it, not we.
                cell = policy.cell([row[part] for part in identity])
                treated = self.protector.protect(policy, cell, row[place], CLEAR)
                places += treated.places
                written[number] = (*row[:place], treated.content, *row[place + 1 :])
        return places


def _protection(connection: psycopg.Connection) -> _Protection:
    _check_database(connection)
    keys = Keys.chosen()
    with connection.transaction():
        connection.execute("set local role agentbooks_loader")
        note_keys(connection, keys)
        found = [
            policy
            for policy in policies(connection)
            if {policy.column_name, *policy.identity} <= {*COLUMNS.get(policy.table_name, ())}
        ]
    return _Protection(Protector(keys), found)


def _prepare(records: list[Record], undated_as: date | None, protection: _Protection) -> _Batch:
    batch = _Batch()
    for record in records:
        try:
            run = _parse(record)
        except Rejected as reason:
            batch.rejections.append(Rejection(record, str(reason)))
            continue
        try:
            rows = rows_of(run, undated_as)
            rows.redacted = protection.apply(rows)
            candidate = _Candidate(record, run, rows)
        except Rejected as reason:
            candidate = _Candidate(record, run, RunRows(), str(reason))
        batch.candidates.append(candidate)
    return batch


def _load_batch(
    connection: psycopg.Connection, source_file: str, batch: _Batch, summary: LoadSummary
) -> None:
    rejections = batch.rejections
    waiting = batch.candidates
    loaded: list[_Candidate] = []
    with connection.transaction():
        _begin(connection)
        known: dict[str, bytes] = dict(
            connection.execute(
                "select run_id, content_sha256 from ops.loaded_runs where run_id = any(%s)",
                ([candidate.run_id for candidate in waiting],),
            ).fetchall()
        )
        while waiting:
            chosen: dict[str, _Candidate] = {}
            repeated: list[_Candidate] = []
            for candidate in waiting:
                if known.get(candidate.run_id) == candidate.run.sha256:
                    summary.already_loaded += 1
                elif candidate.run_id in known:
                    rejections.append(Rejection(candidate.record, _conflict(candidate.run_id)))
                elif candidate.flaw is not None:
                    rejections.append(Rejection(candidate.record, candidate.flaw))
                elif candidate.run_id in chosen:
                    repeated.append(candidate)
                else:
                    chosen[candidate.run_id] = candidate
            written = _write(connection, source_file, list(chosen.values()), rejections)
            known |= {candidate.run_id: candidate.run.sha256 for candidate in written}
            loaded += written
            waiting = repeated  # what becomes of them depends on what became of the first
        _keep_rejections(connection, source_file, rejections)

    for candidate in loaded:
        summary.loaded += 1
        summary.naive_times += candidate.rows.naive_times
        summary.undated += candidate.rows.undated
        summary.redacted += candidate.rows.redacted
        for table in COLUMNS.keys() - SHARED.keys():
            summary.rows[table] += len(candidate.rows.rows[table])
    summary.rejected += len(rejections)
    summary.reasons.update(rejection.reason for rejection in rejections)


def _parse(record: Record) -> ParsedRun:
    if record.line is None:
        raise Rejected(f"is longer than {LONGEST_LINE >> 20} MiB")
    return parse(record.line)


def _conflict(run_id: str) -> str:
    return f"run {run_id!r} was loaded before with other content"


def _write(
    connection: psycopg.Connection,
    source_file: str,
    candidates: list[_Candidate],
    rejections: list[Rejection],
) -> list[_Candidate]:
    """Write the candidates; those the database refuses become rejections.

    One refused row fails a whole COPY, so the batch is halved until the refused record is alone.
    """
    if not candidates:
        return []
    try:
        with connection.transaction():
            _copy_runs(connection, source_file, candidates)
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.StatementTooComplex,
    ) as error:
        if len(candidates) == 1:
            reason = error.diag.message_primary or str(error)
            rejections.append(Rejection(candidates[0].record, f"the database refused it: {reason}"))
            return []
        middle = len(candidates) // 2
        return _write(connection, source_file, candidates[:middle], rejections) + _write(
            connection, source_file, candidates[middle:], rejections
        )
    return candidates


def _copy_runs(
    connection: psycopg.Connection, source_file: str, candidates: list[_Candidate]
) -> None:
    tables: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    for candidate in candidates:
        for table, rows in candidate.rows.rows.items():
            tables[table].extend(rows)
    for table, column in PARTITIONED.items():
        _ensure_partitions(connection, table, column, tables[table])
    (tenant_id,) = connection.execute("select ops.caller_tenant_id()").fetchone() or (None,)
    for table, rows in tables.items():
        if table in SHARED:
            _insert_missing(connection, table, rows)
        else:
            # The same for all rows, so the column's default need not be asked for each.
            columns = (*COLUMNS[table], "tenant_id")
            _copy(connection, table, columns, ((*row, tenant_id) for row in rows))
    _count_pattern_uses(connection, tables["traceability.pattern_usage_log"])
    _copy(
        connection,
        "ops.loaded_runs",
        ("run_id", "content_sha256", "source_file", "source_line"),
        [(c.run_id, c.run.sha256, source_file, c.record.number) for c in candidates],
    )
    connection.execute(
        "delete from ops.rejected_records where record_sha256 = any(%s)",
        ([candidate.record.sha256 for candidate in candidates],),
    )


def _ensure_partitions(
    connection: psycopg.Connection, table: str, column: str, rows: list[Row]
) -> None:
    place = COLUMNS[table].index(column)
    months = sorted({row[place].date().replace(day=1) for row in rows})
    connection.execute(
        "select ops.create_month_partitions(ops.in_raw_schemas(%s)::regclass, month, month)"
        " from unnest(%s::date[]) as month",
        (table, months),
    )


def _insert_missing(connection: psycopg.Connection, table: str, rows: list[Row]) -> None:
    """Insert rows whose key is not there yet; the same key always has the same content."""
    columns = COLUMNS[table]
    unique = {row[0]: row for row in reversed(rows)}
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL("insert into {} ({}) values ({}) on conflict ({}) do nothing").format(
                _identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join(sql.Placeholder() * len(columns)),
                sql.Identifier(SHARED[table]),
            ),
            [unique[key] for key in sorted(unique)],
        )


def _count_pattern_uses(connection: psycopg.Connection, uses: list[Row]) -> None:
    """Raise the patterns' own counters, once per batch and pattern."""
    counts: dict[str, list[int]] = {}
    last_used: dict[str, datetime] = {}
    columns = COLUMNS["traceability.pattern_usage_log"]
    for row in uses:
        use = dict(zip(columns, row, strict=True))
        count = counts.setdefault(use["pattern_id"], [0, 0])
        if use["success"] is not None:
            count[0 if use["success"] else 1] += 1
        last_used[use["pattern_id"]] = max(
            use["used_at"], last_used.get(use["pattern_id"], use["used_at"])
        )
    with connection.cursor() as cursor:
        cursor.executemany(
            "update traceability.success_patterns set success_count = success_count + %s,"
            " failure_count = failure_count + %s, last_used_at = greatest(last_used_at, %s)"
            " where id = %s",
            [(*counts[key], last_used[key], key) for key in sorted(counts)],
        )


def _copy(
    connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Iterable[Row]
) -> None:
    statement = sql.SQL("copy {} ({}) from stdin").format(
        _identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    # An adopted table may count whole milliseconds.
    found = connection.execute(
        "select attname from pg_attribute where attrelid = ops.in_raw_schemas(%s)::regclass"
        " and atttypid = any('{int2,int4,int8}'::regtype[])",
        (table,),
    )
    whole = {columns.index(name) for (name,) in found if name in columns}
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(
                [
                    round(value) if place in whole and isinstance(value, Decimal | float) else value
                    for place, value in enumerate(row)
                ]
                if whole
                else row
            )


def _keep_rejections(
    connection: psycopg.Connection, source_file: str, rejections: list[Rejection]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.rejected_records (record_sha256, source_file, source_line, reason,"
            " record_head, record_bytes) values (%s, %s, %s, %s, %s, %s)"
            " on conflict (record_sha256, source_file, source_line)"
            " do update set reason = excluded.reason, rejected_at = excluded.rejected_at"
            " where rejected_records.reason <> excluded.reason",
            [
                (
                    rejection.record.sha256,
                    source_file,
                    rejection.record.number,
                    rejection.reason.replace("\x00", "\\u0000"),
                    without_secrets_in(rejection.record.head)[:KEPT_HEAD],
                    rejection.record.length,
                )
                for rejection in rejections
            ],
        )


def _begin(connection: psycopg.Connection) -> None:
    connection.execute("set local role agentbooks_loader")
    connection.execute("select pg_advisory_xact_lock(%s)", (LOAD_LOCK,))


def _check_database(connection: psycopg.Connection) -> None:
    try:
        with connection.transaction():
            connection.execute("set local role agentbooks_loader")
            connection.execute("select 'traceability.pattern_usage_log'::regclass")
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise AgentbooksError(
            f"load: {user} may not load; let an administrator run "
            f"`grant agentbooks_loader to {user}`."
        ) from error
    except (psycopg.ProgrammingError, psycopg.DataError) as error:  # no such table, no such role
        raise AgentbooksError(
            "load: the database has no raw tables; run `agentbooks bootstrap` first."
        ) from error


def _name(path: Path) -> str:
    """Give a file's full name; bytes in it that are no UTF-8 become question marks."""
    return str(path.resolve()).encode(errors="replace").decode()


def _identifier(table: str) -> sql.Identifier:
    return sql.Identifier(*table.split("."))
