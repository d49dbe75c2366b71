"""Forgets persons wherever the database or a file says something of them, and writes a receipt of it.

What says something of a person is declared in `ops.personal_data`; functions of schema ops do the work on
rows, batch by batch. Here it is said in what order, and files are written anew: a file that takes the
place of another is written, read back, entered, and only then the other goes. The ids by which an erasure
knows its persons are kept until nothing is left, so that it can be killed anywhere and begun again.
"""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pyarrow import compute, parquet

from orchestration import cold_archive, database
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from orchestration.cold_archive import Archive

FLOOR = 5
"""Ids that should stand behind `erased` in a tenant, so that nobody is told from it."""
BATCH = 500
ATTEMPTS = 3
STAGED = "pg_temp.rows_to_erase"
CHECKSUMS = """
select ops.column_checksums(%s, 'select * from pg_temp.rows_to_erase', 'pg_temp.rows_to_erase')
"""

PLACES = """
select
    d.table_name, ops.relation_name(r.relation) as relation, d.ties, d.finds, d.scrubbed
from ops.personal_data as d
cross join unnest(array[d.table_name::regclass, ops.archive_of(d.table_name::regclass)]) as r (relation)
where r.relation is not null and d.fate in ('blank', 'delete')
order by d.place, r.relation <> d.table_name::regclass
"""
FILES = """
select f.table_name, f.month, f.url, f.sha256, f.checksums, f.schema
from ops.archive_files as f
inner join ops.personal_data as d using (table_name)
where d.fate in ('blank', 'delete') and f.state = 'verified'
order by f.table_name, f.month, f.url
"""
KNOWN = """
select e.erasure_id, e.tenant_id, e.state
from ops.erasures as e
where
    e.subject_hashes @> array(select ops.subject_hash(s) from unnest(%(subjects)s::text[]) as s)
    and coalesce(e.tenant_id = %(tenant)s, true)
order by e.erasure_id desc
limit 1
"""
BEGUN = "select exists (select from ops.erasure_steps where erasure_id = %s)"
POOLED = """
select sum(cardinality(e.subject_hashes))::int
from ops.erasures as e
where e.tenant_id = (select o.tenant_id from ops.erasures as o where o.erasure_id = %s)
"""
# Where an expression of ops.personal_data looks in a row.
EXPRESSION = re.compile(
    r"(?:case when h\.\w+ \? '(?P<needs>\w+)' then )?(?:btrim\(|lower\()?(?:h\.)?(?P<column>[a-z_]+)\)?"
    r"(?P<list>\[\])?(?: ->> '(?P<key>[^']+)'| #>> '\{(?P<path>[^}]+)\}')?(?: end)?"
)


@dataclass(frozen=True)
class Place:
    """A table or an archive with personal data, as `ops.personal_data` declares it."""

    table_name: str
    relation: str
    ties: list[str]
    finds: list[str]
    scrubbed: list[str]


@dataclass(frozen=True)
class File:
    """A file of a month of a table."""

    table_name: str
    month: Any
    url: str
    sha256: str
    checksums: dict[str, int]
    schema: dict[str, str]


@dataclass
class Plan:
    """What an erasure would do.

    Attributes:
        given: How many ids were given.
        ids: By how many ids the persons are known.
        common: How many of them are no words to look for in the texts of others.
        rows: By table or archive, what happens to its rows, and how many they are.
        files: By URL, how many rows of it.
        pooled: Ids that stand behind `erased` in the tenant then.
        backups: Copies that it does not reach.
    """

    tenant: str
    given: int
    ids: int
    common: int
    rows: dict[str, tuple[str, int]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    pooled: int = 0
    backups: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Tell it, a line per place."""
        yield f"Tenant {self.tenant}: {self.given} ids given, {self.ids} found."
        if self.common:
            yield (
                f"Ids that are numbers or too short: {self.common}. Rows are found by them; mentions in the "
                "texts of others are not."
            )
        for place, (fate, rows) in self.rows.items():
            yield f"{place}: {fate} {rows} rows"
        for url, rows in self.files.items():
            yield f"{url}: written anew for {rows} rows"
        yield "marts: their user_key becomes erased; sums over all else stay."
        yield from _closing(self.pooled, self.backups)


def erase(
    connection: psycopg.Connection,
    archive: Archive,
    subjects: list[str],
    tenant: str | None = None,
    *,
    is_dry_run: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> int | None:
    """Forget these persons in all raw tables, archives, files and what the project notes; pool them in marts.

    Marts that are computed from `agent_runs` follow with the next run of dbt; then call `finish`.

    Args:
        connection: In autocommit mode, as a role that may do both retention and refreshes.
        archive: Where files are.
        subjects: Ids of one or more persons of one tenant, in whichever system.
        tenant: Whose; needed where an id is known to several.
        is_dry_run: Only tell the plan.
        tell: Is given each line of the plan.

    Returns:
        Number of the erasure: a new one, or that which had been begun or done; None after a dry run.

    Raises:
        AgentbooksError: Nobody is known by an id, or several tenants know it; a legal hold or the storage
            forbids it. Nothing, or nothing more, is touched then.
    """
    if not all(subject.strip() for subject in subjects):
        raise AgentbooksError("erase: an id is empty; name a person, or leave it out.")
    with _told(), alone(connection):
        subjects = sorted(set(subjects))
        tenant, known = _tenant(connection, archive, subjects, tenant)
        if known is not None and is_dry_run:
            tell(
                f"Erasure {known} has forgotten them; `agentbooks erase --receipt {known}` tells it."
            )
            return None
        if known is not None:
            return known
        growing = _one(connection, "select min(table_name) from ops.growths")
        if growing is not None:
            raise AgentbooksError(
                f"erase: {growing} is becoming partitioned, and its old rows would be kept; run `agentbooks "
                f"partition {growing} --finish`, or --back, first."
            )
        with connection.transaction(force_rollback=is_dry_run):
            erasure = _one(connection, "select ops.open_erasure(%s, %s)", (subjects, tenant))
            plan = _plan(connection, archive, erasure, tenant, len(subjects))
            for line in plan.lines():
                tell(line)
            if plan.files and not is_dry_run:
                archive.check()
        if is_dry_run:
            return None
        _delete_leftovers(connection, archive)
        for _ in range(ATTEMPTS):
            _erase_files(connection, archive, erasure)
            _erase_rows(connection, erasure)
            # Somebody may write on meanwhile.
            if not _find(connection, archive, erasure) and not _rows_left(connection, erasure):
                break
        else:
            places = ", ".join(_rows_left(connection, erasure)) or "files"
            raise AgentbooksError(
                f"erase: rows of {places} are still there, as they are being written or others lean on "
                "them; stop what writes them and run it again."
            )
        with connection.transaction():
            connection.execute("select ops.erase_from_ops(%s)", (erasure,))
            connection.execute("select ops.erase_from_marts(%s)", (erasure,))
            connection.execute("select ops.end_erasure(%s, false)", (erasure,))
        return int(erasure)


def finish(connection: psycopg.Connection, erasure: int) -> bool:
    """Close an erasure if no mart has its users any more; return whether it is done."""
    with _told(), connection.transaction():
        state = _one(connection, "select state from ops.erasures where erasure_id = %s", (erasure,))
        if (
            state == "refreshing"
            and not connection.execute("select ops.marts_with_persons(%s)", (erasure,)).fetchone()
        ):
            connection.execute("select ops.end_erasure(%s, true)", (erasure,))
            state = "done"
    return bool(state == "done")


def receipt(connection: psycopg.Connection, erasure: int) -> Iterator[str]:
    """Tell what an erasure did, a line per place; it names nobody."""
    with _told():
        told = connection.execute(
            "select subject_hashes, tenant_id, state, asked_by, begun_at, done_at, backups"
            " from ops.erasures where erasure_id = %s",
            (erasure,),
        ).fetchone()
        if told is None:
            raise AgentbooksError(f"erase: there is no erasure {erasure}; look into ops.erasures.")
        hashes, tenant, state, asked_by, begun_at, done_at, backups = told
        ended = f"done {done_at:%Y-%m-%d %H:%M:%S %Z}" if done_at else f"{state}: not done yet"
        yield (
            f"Erasure {erasure} of {len(hashes)} ids of tenant {tenant}, asked for by {asked_by}, "
            f"begun {begun_at:%Y-%m-%d %H:%M:%S %Z}, {ended}."
        )
        for subject in hashes[:20]:
            yield f"id {subject}"
        if state == "refreshing":
            left = connection.execute("select ops.marts_with_persons(%s)", (erasure,)).fetchall()
            yield (
                f"Waiting for dbt: {', '.join(name for (name,) in left) or 'no mart'}; run it, and "
                "`agentbooks erase` again. A user's budget in seeds/budgets.csv is deleted there."
            )
        steps = connection.execute(
            "select place, action, rows, old_sha256, new_sha256, new_place from ops.erasure_steps"
            " where erasure_id = %s order by place, action",
            (erasure,),
        )
        for place, action, rows, old, new, new_place in steps.fetchall():
            files = f", sha256 {old}, now {new_place}, sha256 {new}" if new_place else ""
            yield f"{place}: {action} {rows} rows{files}"
        copies = [f"{b['name']} at {b['location']} until {b['expires_on']}" for b in backups]
        yield from _closing(_one(connection, POOLED, (erasure,)), copies)


def place_hold(
    connection: psycopg.Connection,
    subject: str | None,
    session: str | None,
    trace: str | None,
    table: str | None,
    days: tuple[Any, Any],
    reason: str,
) -> int:
    """Hold rows whatever policies and erasures say; return the hold's number.

    Raises:
        AgentbooksError: It says nothing that could be held, or another hold has the same.
    """
    with _told("hold"):
        return int(
            _one(
                connection,
                "select ops.place_hold(%s, %s, %s, %s, %s, %s, %s)",
                (subject, session, trace, table, *days, reason),
            )
        )


def under_hold(connection: psycopg.Connection, hold: int) -> str:
    """Tell how much a hold covers at the moment."""
    with _told("hold"):
        rows, months = connection.execute(
            "select held_rows, held_months from ops.under_hold(%s)", (hold,)
        ).fetchall()[0]
    files = f", and {months} months that lie in files" if months else ""
    return f"{rows} rows in the database{files}"


def release_hold(connection: psycopg.Connection, hold: int) -> None:
    """End a hold.

    Raises:
        AgentbooksError: No such hold is in force.
    """
    if hold.bit_length() > 63:
        raise AgentbooksError(f"hold: no hold {hold} is in force.")
    with _told("hold"):
        connection.execute("select ops.release_hold(%s)", (hold,))


def holds(connection: psycopg.Connection) -> Iterator[str]:
    """Tell the holds in force, a line each."""
    with _told("hold"):
        rows = connection.execute(
            "select hold_id, concat_ws(', ', 'subject ' || subject_id, 'session ' || session_id,"
            " 'trace ' || trace_id, table_name, first_day || ' to ' || last_day), reason, placed_by,"
            " (placed_at at time zone 'UTC')::date"
            " from ops.legal_holds where released_at is null order by hold_id"
        )
        for hold, what, reason, placed_by, day in rows.fetchall():
            yield f"{hold}: {what}: {reason} ({placed_by}, {day})"


def _closing(pooled: int, backups: list[str]) -> Iterator[str]:
    if pooled < FLOOR:
        yield (
            f"erased stands for {pooled} ids in this tenant, fewer than {FLOOR}: who knows one of them can "
            "read their sums in the marts until more are erased."
        )
    for copy in backups:
        yield f"Not reached: {copy}."
    if not backups:
        yield "Not reached: backups, if there are any; ops.backups names none."


def _tenant(
    connection: psycopg.Connection, archive: Archive, subjects: list[str], tenant: str | None
) -> tuple[str, int | None]:
    """Return whose persons these are, and the erasure that has done with them if there is one."""
    found = set(
        connection.execute(
            "select subject, tenant_id from ops.subject_tenants(%s)"
            " where subject not in ('erased', ops.tombstone()::text)",
            (subjects,),
        ).fetchall()
    )
    missing = set(subjects) - {subject for subject, of in found if tenant in (None, of)}
    if missing:
        known = connection.execute(KNOWN, {"subjects": subjects, "tenant": tenant}).fetchone()
        if known is not None:
            is_over = known[2] != "running" and missing == set(subjects)
            return known[1], known[0] if is_over else None
        found |= _in_files(connection, archive, missing)
        missing -= {subject for subject, of in found if tenant in (None, of)}
    if missing:
        where = f" in tenant {tenant}" if tenant else ""
        raise AgentbooksError(f"erase: nobody is known as {min(missing)}{where}; check the id.")
    tenants = sorted({of for _, of in found if tenant in (None, of)})
    if len(tenants) > 1:
        raise AgentbooksError(
            f"erase: tenants {' and '.join(tenants)} know {'them' if len(subjects) > 1 else subjects[0]}; "
            "say whose they are with --tenant."
        )
    return tenants[0], None


def _plan(
    connection: psycopg.Connection, archive: Archive, erasure: int, tenant: str, given: int
) -> Plan:
    _find(connection, archive, erasure)
    common = "select count(*) from unnest(%s::text[]) as p (id) where not ops.is_word(p.id)"
    ids = sorted(_keys(connection, erasure)["person"])
    plan = Plan(tenant, given, len(ids), _one(connection, common, (ids,)))
    held: dict[int, str] = {
        hold: "what is theirs"
        for (hold,) in connection.execute("select ops.holds_on_persons(%s)", (erasure,)).fetchall()
    }
    rows = connection.execute("select * from ops.plan_erasure(%s)", (erasure,)).fetchall()
    for place, fate, counted, hold, held_rows in rows:
        if hold is None:
            plan.rows[place] = fate, counted
        else:
            held.setdefault(hold, f"{held_rows} rows of {place}")
    keys = _keys(connection, erasure)
    for place, file in _files(connection):
        if counted := sum(
            int(compute.sum(mask).as_py() or 0)
            for _, mask in _masked(archive, place, file, keys, tenant)
        ):
            plan.files[file.url] = counted
            query = "select ops.need_file_columns(%s, %s)"
            connection.execute(query, (file.table_name, file.month))
            covering = connection.execute(
                "select ops.holds_on_persons(%s, %s, %s)", (erasure, file.table_name, file.month)
            ).fetchall()
            held.update({hold: f"{counted} rows of {file.url}" for (hold,) in covering})
    if held:
        hold, what = min(held.items())
        is_begun = _one(connection, BEGUN, (erasure,))
        but = f" beyond what erasure {erasure} did before it was cut short" if is_begun else ""
        raise AgentbooksError(
            f"erase: legal hold {hold} covers {what}; nothing was touched{but}, and it can be erased once "
            f"`agentbooks hold release {hold}` is lawful."
        )
    plan.pooled = _one(connection, POOLED, (erasure,))
    copies = connection.execute(
        "select name, location, kept_for::text from ops.backups order by name"
    ).fetchall()
    plan.backups = [f"{name} at {location}, kept for {kept}" for name, location, kept in copies]
    return plan


def _find(connection: psycopg.Connection, archive: Archive, erasure: int) -> bool:
    """Look for all that is the persons', in tables and files by turns; return whether keys are new."""
    query = "select tenant_id from ops.erasures where erasure_id = %s"
    tenant = _one(connection, query, (erasure,))
    is_new = False
    kinds: list[str] | None = None
    while True:
        query = "select ops.find_erasure_keys(%s, %s)"
        while kinds := _one(connection, query, (erasure, kinds)):
            is_new = True
        kinds = []
        keys = _keys(connection, erasure)
        for kind, found in _found_in_files(connection, archive, keys, tenant).items():
            if new := sorted(found - keys.get(kind, set())):
                query = "select ops.note_erasure_keys(%s, %s, %s)"
                connection.execute(query, (erasure, kind, new))
                kinds.append(kind)
        if not kinds:
            return is_new
        is_new = True


def _found_in_files(
    connection: psycopg.Connection, archive: Archive, keys: dict[str, set[str]], tenant: str
) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for place, file in _files(connection):
        if not place.finds:
            continue
        for batch, mask in _masked(archive, place, file, keys, tenant):
            mine = batch.filter(mask)
            for find in place.finds:
                kind, _, expression = find.partition(" = ")
                found.setdefault(kind, set()).update(
                    filter(None, _values(mine, expression).to_pylist())
                )
    return found


def _erase_rows(connection: psycopg.Connection, erasure: int) -> None:
    for place in _places(connection):
        _erase_in(connection, erasure, place, place.relation)


def _erase_in(connection: psycopg.Connection, erasure: int, place: Place, relation: str) -> int:
    total = 0
    for tie in [*range(1, len(place.ties) + 1), *([0] if place.scrubbed else [])]:
        after: str | None = ""
        while after is not None:
            rows, after = connection.execute(
                "select erased_rows, last_key from ops.erase_rows(%s, %s, %s, %s, %s, %s)",
                (erasure, place.table_name, relation, tie, after, BATCH),
            ).fetchone() or (0, None)
            total += rows
    return total


def _rows_left(connection: psycopg.Connection, erasure: int) -> list[str]:
    rows = connection.execute(
        "select distinct table_name from ops.plan_erasure(%s) order by 1", (erasure,)
    )
    return [table for (table,) in rows.fetchall()]


def _erase_files(connection: psycopg.Connection, archive: Archive, erasure: int) -> None:
    tenant = _one(
        connection, "select tenant_id from ops.erasures where erasure_id = %s", (erasure,)
    )
    _delete_replaced(connection, archive, erasure)
    keys = _keys(connection, erasure)
    for place, file in _files(connection):
        if any(
            compute.any(mask).as_py() for _, mask in _masked(archive, place, file, keys, tenant)
        ):
            _replace_file(connection, archive, erasure, place, file, keys, tenant)
            _delete_replaced(connection, archive, erasure)
            cold_archive.delete_loose_files(connection, archive, file.table_name, file.month)


def _delete_leftovers(connection: psycopg.Connection, archive: Archive) -> None:
    """Delete files that nothing reads: of exports, purges and rewritings that were cut short.

    Raises:
        AgentbooksError: One of them is in another archive, or the storage refuses.
    """
    unread = "select url from ops.archive_files where state <> 'verified'"
    leftovers = connection.execute(unread).fetchall()
    for (url,) in [*leftovers, *connection.execute("select url from ops.loose_files").fetchall()]:
        archive.need_inside(url)
    for (url,) in leftovers:
        archive.remove(url)
        connection.execute("delete from ops.archive_files where url = %s", (url,))
    cold_archive.delete_loose_files(connection, archive)


def _delete_replaced(connection: psycopg.Connection, archive: Archive, erasure: int) -> None:
    replaced = connection.execute(
        "select s.place, exists (select from ops.archive_files as f where f.url = s.place)"
        " from ops.erasure_steps as s where s.erasure_id = %s and s.action = 'replace'",
        (erasure,),
    ).fetchall()
    for url, is_in_use in replaced:
        # Its month may have come back and left again since: a new file then has the name.
        if not is_in_use:
            archive.remove(url)
        connection.execute("select ops.note_deleted_file(%s, %s)", (erasure, url))


def _replace_file(
    connection: psycopg.Connection,
    archive: Archive,
    erasure: int,
    place: Place,
    file: File,
    keys: dict[str, set[str]],
    tenant: str,
) -> None:
    """Write a file anew without what it says of the persons and enter it; the old one is still to go."""
    connection.execute("select ops.stage_erasure(%s, %s)", (place.table_name, file.url))
    columns = cold_archive.Columns.of(connection, place.table_name)
    staged = sql.SQL(STAGED)
    with archive.fetched(file.url, file.sha256) as old, tempfile.TemporaryDirectory() as folder:
        schema = parquet.read_schema(old)
        names = tuple(name for name in columns.written if name in schema.names)
        offset = 0
        query = sql.SQL("copy {} ({}) from stdin (format csv)").format(
            staged, cold_archive.column_list((*names, "place_in_file"))
        )
        with connection.cursor().copy(query) as copy:
            for batch, mask in _masks(old, place, keys, tenant):
                places = pa.array(np.arange(offset, offset + len(batch)))
                mine = batch.select(names).append_column("place_in_file", places).filter(mask)
                offset += len(batch)
                if len(mine):
                    copy.write(cold_archive.as_csv(mine))
        before = _one(connection, CHECKSUMS, (place.table_name,))
        changed = _erase_in(connection, erasure, place, STAGED)
        if not changed:
            return
        after = _one(connection, CHECKSUMS, (place.table_name,))
        treated = _staged(connection, schema)
        checksums = {
            name: int(total) - int(before.get(name, 0)) + int(after.get(name, 0))
            for name, total in file.checksums.items()
        }

        def pieces() -> Iterator[pa.Table]:
            yield from _with_treated(old, place, keys, tenant, treated)

        new = Path(folder) / "new.parquet"
        rows = sum(map(len, pieces()))
        manifest = cold_archive.rewritten_manifest(old, rows, checksums)
        with parquet.ParquetWriter(new, schema.remove_metadata(), compression="zstd") as writer:
            for piece in pieces():
                writer.write_table(piece, row_group_size=cold_archive.ROWS)
            writer.add_key_value_metadata({cold_archive.MANIFEST: manifest})
        size, sha256 = new.stat().st_size, cold_archive.sha256_of(new)
        url = cold_archive.rewritten_url(file.url, sha256)
        urls = [f"{url}.part", url]
        cold_archive.note_loose_files(connection, file.table_name, file.month, urls)
        archive.put_proven(
            new,
            url,
            sha256,
            lambda copy: (
                cold_archive.read_back(connection, place.table_name, file.schema, copy)
                == (rows, checksums)
            ),
        )
        connection.execute(
            "select ops.note_replaced_file(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (erasure, file.url, file.sha256, url, changed, rows, size, sha256, Jsonb(checksums)),
        )


def _staged(connection: psycopg.Connection, schema: pa.Schema) -> pa.Table:
    """Read back what is staged, in the columns of the file and by place."""
    schema = schema.remove_metadata().append(pa.field("place_in_file", pa.int64()))
    columns = cold_archive.Columns(tuple(schema.names), (), schema, ())
    with connection.transaction():
        cold_archive.write_alike(connection)
        rows = sql.SQL("{} order by place_in_file").format(sql.SQL(STAGED))
        pieces = list(cold_archive.copied_out(connection, columns, rows))
    return pa.concat_tables(pieces) if pieces else schema.empty_table()


def _with_treated(
    path: Path, place: Place, keys: dict[str, set[str]], tenant: str, treated: pa.Table
) -> Iterator[pa.Table]:
    """Yield the rows of a file in their order; of those that are the persons', what became of them."""
    their_places = treated["place_in_file"].to_numpy()
    offset = 0
    for batch, mask in _masks(path, place, keys, tenant):
        first, last = np.searchsorted(their_places, [offset, offset + len(batch)])
        others = pa.Table.from_batches([batch.filter(compute.invert(mask))])
        other_places = np.flatnonzero(~mask.to_numpy(zero_copy_only=False)) + offset
        theirs = treated.slice(first, last - first).drop_columns(["place_in_file"])
        places = np.concatenate([other_places, their_places[first:last]])
        rows = pa.concat_tables([others.replace_schema_metadata(), theirs])
        offset += len(batch)
        if len(rows):
            yield rows.take(pa.array(np.argsort(places, kind="stable")))


def _masked(
    archive: Archive, place: Place, file: File, keys: dict[str, set[str]], tenant: str
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    with archive.fetched(file.url, file.sha256) as local:
        yield from _masks(local, place, keys, tenant, is_whole=False)


def _masks(
    path: Path, place: Place, keys: dict[str, set[str]], tenant: str, *, is_whole: bool = True
) -> Iterator[tuple[pa.RecordBatch, pa.Array]]:
    """Yield the rows of a file, and which of them are the persons'; else only the columns that tell it."""
    needed = {"tenant_id", *place.scrubbed}
    for told in (*place.ties, *place.finds):
        needed |= {m["column"] for part in told.split(" = ") if (m := EXPRESSION.fullmatch(part))}
    ties = [
        (expression, pa.array(sorted(keys[kind]), pa.string()))
        for expression, _, kind in (tie.rpartition(" = ") for tie in place.ties)
        if kind in keys
    ]
    with parquet.ParquetFile(path) as file:
        columns = None if is_whole else [n for n in file.schema_arrow.names if n in needed]
        for batch in file.iter_batches(cold_archive.ROWS, columns=columns):
            mask = pa.array(np.zeros(len(batch), dtype=bool))
            for expression, theirs in ties:
                mask = compute.or_(mask, _is_in(_values(batch, expression), theirs))
            for name in set(place.scrubbed) & set(batch.schema.names):
                texts = batch[name].cast(pa.string())
                for word in keys["word"]:
                    found = compute.match_substring(texts, word, ignore_case=True)
                    mask = compute.or_(mask, found.fill_null(fill_value=False))
            yield batch, compute.and_(mask, compute.equal(batch["tenant_id"], tenant))


def _is_in(values: pa.Array, keys: pa.Array) -> pa.Array:
    if not pa.types.is_list(values.type):
        return compute.is_in(values, keys)
    mask = np.zeros(len(values), dtype=bool)
    mask[compute.list_parent_indices(values).filter(compute.is_in(values.flatten(), keys))] = True
    return pa.array(mask)


def _values(batch: pa.RecordBatch, expression: str) -> pa.Array:
    """What an expression of ops.personal_data gives for each row: a text, or a list of texts."""
    match = EXPRESSION.fullmatch(expression)
    if match is None or match["column"] not in batch.schema.names:
        return pa.nulls(len(batch), pa.string())
    values = batch[match["column"]].cast(pa.string())
    if match["list"]:
        return compute.split_pattern(compute.utf8_trim(values, "{}"), ",")
    if match["key"] or match["path"]:
        path = [match["key"]] if match["key"] else match["path"].split(",")
        contents = values.to_pylist()
        return pa.array([_at(content, path, match["needs"]) for content in contents], pa.string())
    if expression.startswith("btrim("):
        return compute.utf8_trim(values, " ")
    return compute.utf8_lower(values) if expression.startswith("lower(") else values


def _at(content: str | None, path: list[str], needs: str | None) -> str | None:
    if content is None or path[-1] not in content:
        return None
    found = json.loads(content)
    if needs and not (isinstance(found, dict) and needs in found):
        return None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) or found is None else json.dumps(found)


def _in_files(
    connection: psycopg.Connection, archive: Archive, subjects: set[str]
) -> set[tuple[str, str]]:
    """Look for persons of whom only files know: their ids and tenants."""
    found: set[tuple[str, str]] = set()
    for place, file in _files(connection):
        ties = [tie.partition(" = ")[0] for tie in place.ties if tie.endswith(" = person")]
        if not ties:
            continue
        with archive.fetched(file.url, file.sha256) as local, parquet.ParquetFile(local) as rows:
            for batch in rows.iter_batches(cold_archive.ROWS):
                tenants = batch["tenant_id"].to_pylist()
                for tie in ties:
                    values = _values(batch, tie).to_pylist()
                    found |= {
                        (value, of)
                        for value, of in zip(values, tenants, strict=True)
                        if value in subjects
                    }
    return found


def _places(connection: psycopg.Connection) -> list[Place]:
    with connection.cursor(row_factory=class_row(Place)) as cursor:
        return cursor.execute(PLACES).fetchall()


def _files(connection: psycopg.Connection) -> list[tuple[Place, File]]:
    places = {place.table_name: place for place in reversed(_places(connection))}
    with connection.cursor(row_factory=class_row(File)) as cursor:
        return [(places[file.table_name], file) for file in cursor.execute(FILES).fetchall()]


def _keys(connection: psycopg.Connection, erasure: int) -> dict[str, set[str]]:
    rows = connection.execute(
        "select kind, array_agg(key) from ops.erasure_keys where erasure_id = %s group by kind",
        (erasure,),
    ).fetchall()
    # In files a document is text.
    query = "select ops.also_quoted(ops.erasure_words(%s))"
    return {kind: set(keys) for kind, keys in rows} | {
        "word": set(_one(connection, query, (erasure,)))
    }


def _one(connection: psycopg.Connection, query: Any, parameters: Any = None) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def alone(connection: psycopg.Connection) -> AbstractContextManager[None]:
    """Let one erasure work at a time, and no month come or go meanwhile."""
    return database.alone(connection, cold_archive.ERASURE)


@contextmanager
def _told(what: str = "erase") -> Iterator[None]:
    """Say in a sentence what the database refused."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise AgentbooksError(
            f"{what}: {error.diag.message_primary}; it needs a role in agentbooks_retention and "
            "agentbooks_refresher."
        ) from error
    except (
        psycopg.errors.InvalidParameterValue,
        psycopg.errors.UniqueViolation,
        psycopg.errors.NoDataFound,
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedFunction,
        psycopg.errors.LockNotAvailable,
        psycopg.errors.ObjectNotInPrerequisiteState,
    ) as error:
        message = (error.diag.message_primary or "").partition(": ")
        raise AgentbooksError(f"{what}: {message[2] or message[0]}.") from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # Its own words may quote the row.
        named = (error.diag.table_name, error.diag.column_name, error.diag.constraint_name)
        place = ", ".join(filter(None, (type(error).__name__, *named)))
        raise AgentbooksError(
            f"{what}: the database refused a row ({place}); its log says more. Mend that and run it again."
        ) from None
