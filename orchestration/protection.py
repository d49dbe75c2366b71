"""Encrypts and redacts the columns of `ops.protected_columns`: as rows are loaded, and where they are.

What is there is gone through by blocks of tables and archives, then by files. A value is replaced only if
nobody has written its row since it was read; whatever stops the work, the next run finds what is left.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from pyarrow import parquet

from orchestration import cold_archive, database, encryption
from orchestration.encryption import KEY_ID, Cell, DecryptionError, Keys
from orchestration.errors import AgentbooksError
from orchestration.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from orchestration.cold_archive import Archive

BLOCKS = 2048
BATCH = 1000
SHARES = 8
"""A page's rows are written in so many transactions: the next finds the room that the one before has left."""
PASSES = 5
TOLD = 5
"""Of values that do not decrypt so many are named."""
ANOTHER = "key {} is another one than before; give the right one, or the new one another name."
CLEAR, BLANK, UNREADABLE = "in clear", "blanked", "that do not decrypt"
WITHOUT_KEY = (CLEAR, BLANK, UNREADABLE)

POLICIES = """
select
    p.table_name, p.column_name, p.is_encrypted, p.redacted,
    format_type(a.atttypid, null) = 'jsonb' as is_json,
    ops.row_identity(a.attrelid) as identity
from ops.protected_columns as p
inner join pg_attribute as a on to_regclass(p.table_name) = a.attrelid and p.column_name = a.attname
where coalesce(p.table_name = %(table)s, true)
order by p.table_name, p.column_name
"""
PLACES = "select relation::oid, place, blocks from ops.protected_places(%s::regclass)"
VALUES = """
select place::text, version::text, identity, content, is_held,
    (select coalesce(max(h.hold_id), 0) from ops.legal_holds as h) as known_holds
from ops.protected_values(%s::regclass, %s, %s::oid::regclass, %s::tid, %s, %s, %s)
"""
REWRITE = """
select ops.rewrite_values(
    %s::regclass, %s, %s::oid::regclass,
    array(select jsonb_array_elements_text(%s::jsonb)::tid),
    array(select jsonb_array_elements_text(%s::jsonb)::xid),
    array(select jsonb_array_elements_text(%s::jsonb)),
    %s
)
"""
FILES = """
select f.table_name, f.month, f.url, f.sha256, f.rows, f.checksums, f.schema,
    exists (select from ops.holds_on_departed(f.table_name, f.month)) as is_held,
    (select coalesce(max(h.hold_id), 0) from ops.legal_holds as h) as known_holds
from ops.archive_files as f
where f.table_name = %s and f.state = 'verified'
order by f.month, f.url
"""


@dataclass(frozen=True)
class Policy:
    """A row of `ops.protected_columns`, with what the catalog says of the column."""

    table_name: str
    column_name: str
    is_encrypted: bool
    redacted: list[str]
    is_json: bool
    identity: list[str]

    def __str__(self) -> str:
        return f"{self.table_name}.{self.column_name}"

    def cell(self, identity: Sequence[Any]) -> Cell:
        """Say where a value of it stands."""
        return Cell(
            self.table_name, self.column_name, dict(zip(self.identity, identity, strict=True))
        )

    def without_redaction(self) -> Policy:
        """Of what a legal hold keeps, nothing is taken."""
        return replace(self, redacted=[])


@dataclass(frozen=True)
class Treated:
    """A value as it should be.

    Attributes:
        content: The same as before if nothing is to be done.
        state: What it was: CLEAR, BLANK, UNREADABLE, or the id of its key.
        places: How many places in it are to be redacted.
        flaw: Why it does not decrypt.
    """

    content: str
    state: str
    places: int = 0
    flaw: str | None = None


@dataclass(frozen=True)
class Protector:
    """Keys, if there are any, and what to do with what does not decrypt.

    Attributes:
        noted: Ids of keys that were ever given.
        takes_as_text: Whether what does not decrypt is a text that only looks like a token.
    """

    keys: Keys | None
    noted: frozenset[str] = frozenset()
    takes_as_text: bool = False

    def treat(self, policy: Policy, identity: Sequence[Any], content: str) -> Treated:
        """Say how a value that stands in a row should be."""
        cell = policy.cell(identity)
        token = _token(policy, content)
        # What retention leaves where a column must say something: of a token it would not know that it has.
        if content == ("{}" if policy.is_json else "[removed]"):
            return Treated(content, BLANK)
        if token is None:
            return self.protect(policy, cell, content, CLEAR)
        key_id = token.removeprefix(encryption.PREFIX).partition(".")[0]
        if self.keys is None:
            return Treated(content, key_id)
        try:
            return self.protect(policy, cell, self.keys.decrypt(token, cell), key_id, content)
        except DecryptionError as error:
            is_missing = bool(KEY_ID.fullmatch(key_id)) and key_id not in self.keys.by_id
            is_text = self.takes_as_text and not (is_missing and key_id in self.noted)
            if is_text or not policy.is_encrypted:
                return self.protect(policy, cell, content, CLEAR)
            return Treated(content, key_id if is_missing else UNREADABLE, flaw=str(error))

    def says(self, policy: Policy, identity: Sequence[Any], content: str) -> str:
        """Decrypt a value as far as that can be."""
        token = _token(policy, content)
        if token is None or self.keys is None:
            return content
        try:
            return self.keys.decrypt(token, policy.cell(identity))
        except DecryptionError:
            return content

    def protect(
        self, policy: Policy, cell: Cell, clear: str, state: str, content: str | None = None
    ) -> Treated:
        """Redact and encrypt what a value says; `content` is what stands there, if it is a token."""
        redacted, places = redact(clear, policy.redacted, is_json=policy.is_json)
        is_token = content is not None
        if self.keys is None or not (policy.is_encrypted or is_token):
            return Treated(redacted, state, places)
        if content is not None and not places and state == self.keys.current:
            return Treated(content, state)
        token = self.keys.encrypt(redacted, cell)
        return Treated(json.dumps({"encrypted": token}) if policy.is_json else token, state, places)


@dataclass
class Tally:
    """What was found and done in a column of a table, an archive or a file."""

    states: Counter[str] = field(default_factory=Counter)
    to_redact: int = 0
    rewritten: int = 0
    redacted: int = 0

    def note(self, treated: Treated) -> None:
        """Count what a value is."""
        self.states[treated.state] += 1
        self.to_redact += treated.places


@dataclass
class Report:
    """What was found and done, by column and place."""

    keys: Keys | None
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    flaws: dict[str, None] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def at(self, policy: Policy, place: str) -> Tally:
        """Return the figures of a place."""
        return self.tallies.setdefault((str(policy), place), Tally())

    @property
    def undecrypted(self) -> int:
        """How many values do not decrypt, for whatever reason."""
        return len(self.flaws)

    def state_lines(self) -> Iterator[str]:
        """Tell what there is, a line per place, and which keys are needed."""
        uses: Counter[str] = Counter()
        for (column, place), tally in self.tallies.items():
            told = [
                f"{count:,} {self._words(state)}" for state, count in sorted(tally.states.items())
            ]
            told += [f"{tally.to_redact:,} places to redact"] if tally.to_redact else []
            yield f"{column} in {place}: {', '.join(told) or 'nothing'}"
            uses += Counter({s: n for s, n in tally.states.items() if s not in WITHOUT_KEY})
        for key_id in self.keys.by_id if self.keys else ():
            if not uses[key_id] and self.keys and key_id != self.keys.current:
                yield f"Key {key_id} is needed by no value here; copies made before may need it."
        yield from self.flaw_lines()

    def done_lines(self) -> Iterator[str]:
        """Tell what was done, a line per place."""
        for (column, place), tally in self.tallies.items():
            if tally.rewritten:
                redacted = f", {tally.redacted:,} places redacted" if tally.redacted else ""
                yield f"{column} in {place}: {tally.rewritten:,} values rewritten{redacted}"
        for column, left in self.left.items():
            if left:
                yield f"{column}: {left:,} values came meanwhile, or are being written; run it again."
        yield from self.flaw_lines()

    def flaw_lines(self) -> Iterator[str]:
        """Tell of values that do not decrypt, a sentence each, not of all."""
        yield from list(self.flaws)[:TOLD]
        if len(self.flaws) > TOLD:
            yield f"So it is with {len(self.flaws) - TOLD:,} more."

    def _words(self, state: str) -> str:
        if state in WITHOUT_KEY:
            return state
        given = self.keys.by_id if self.keys else {}
        is_current = self.keys is not None and state == self.keys.current
        note = " (current)" if is_current else "" if state in given else " (not given)"
        return f"under key {state}{note}"


def status(
    connection: psycopg.Connection,
    archive: Archive,
    table: str | None = None,
    progress: Callable[[str, int, int], None] = lambda place, done, total: None,
) -> Report:
    """Look at every value of the protected columns, in tables, archives and files; write nothing.

    Args:
        connection: In autocommit mode, as a role that may do retention.
        archive: Where files are.
        table: Only of this raw table.
        progress: Is told the place, how many parts of it are done, and how many it has.

    Raises:
        AgentbooksError: A policy cannot be kept, or a key is another one than before.
    """
    with _told():
        run = _Run.begin(connection, archive, table, progress, is_dry=True)
        with run.pool:
            for policy in run.policies:
                run.walk(policy)
            run.walk_files()
    return run.report


def encrypt(
    connection: psycopg.Connection,
    archive: Archive,
    table: str | None = None,
    *,
    takes_as_text: bool = False,
    progress: Callable[[str, int, int], None] = lambda place, done, total: None,
) -> Report:
    """Encrypt with the current key, and redact, whatever is not so yet.

    Args:
        connection: As for `status`.
        archive: As for `status`.
        table: As for `status`.
        takes_as_text: Encrypt what looks like a token and is none; a token of a key that was given once
            and is missing now is left alone.
        progress: As for `status`.

    Raises:
        AgentbooksError: As for `status`, or a column is to be encrypted and no key is given. Nothing is
            written then.
    """
    with _told(), database.alone(connection, "ops.protected_columns"):
        run = _Run.begin(connection, archive, table, progress, takes_as_text=takes_as_text)
        cold_archive.delete_loose_files(connection, archive)
        with run.pool:
            for policy in run.policies:
                for number in range(PASSES):
                    if not run.walk(policy, is_again=number > 0):
                        break
            run.walk_files()
    return run.report


def decrypted(
    connection: psycopg.Connection, table: str, column: str, where: str = "true"
) -> Iterator[dict[str, str]]:
    """Yield the values of a protected column in a table and its archive in clear, with the rows' keys.

    Args:
        connection: As a role that may read the table.
        table: Raw table, with its schema.
        column: A column of `ops.protected_columns`.
        where: Condition on columns of the table, in SQL.

    Raises:
        AgentbooksError: No key is given, a value does not decrypt, or the condition is no SQL.
    """
    with _told("decrypt"):
        policy = next((p for p in policies(connection, table) if p.column_name == column), None)
        if policy is None:
            raise AgentbooksError(
                f"decrypt: {table}.{column} is not in ops.protected_columns; check the name."
            )
        keys = _given("decrypt")
        connection.execute("set local role agentbooks_retention")
        query = sql.SQL("select array[{}], {}::text from {} where {} and ({})").format(
            sql.SQL(", ").join(
                sql.SQL("{}::text").format(sql.Identifier(n)) for n in policy.identity
            ),
            sql.Identifier(column),
            sql.Identifier("history", table.replace(".", "__", 1)),
            sql.SQL("{} is not null").format(sql.Identifier(column)),
            sql.SQL(where),
        )
        for identity, content in connection.cursor().stream(query):
            token = _token(policy, content)
            clear = keys.decrypt(token, policy.cell(identity)) if token else content
            yield dict(zip(policy.identity, identity, strict=True)) | {column: clear}


def policies(connection: psycopg.Connection, table: str | None = None) -> list[Policy]:
    """Read what is to be protected, if all of it can be.

    Raises:
        AgentbooksError: A policy cannot be kept.
    """
    with _told("ops.protected_columns"):
        for (refusal,) in connection.execute("select ops.protection_refusals()").fetchall():
            raise AgentbooksError(
                f"ops.protected_columns: {refusal}; nothing was touched, mend or delete that row."
            )
        with connection.cursor(row_factory=class_row(Policy)) as cursor:
            return cursor.execute(POLICIES, {"table": table}).fetchall()


def note_keys(connection: psycopg.Connection, keys: Keys | None) -> None:
    """Note the keys that are given by their fingerprints.

    Raises:
        AgentbooksError: One is another than before by the same name.
    """
    with _told("keys"):
        for key_id in keys.by_id if keys else ():
            connection.execute(
                "select ops.note_encryption_key(%s, %s)",
                (key_id, keys.fingerprint(key_id) if keys else ""),
            )


@dataclass
class _Run:
    """One going through all that is protected."""

    connection: psycopg.Connection
    archive: Archive
    policies: list[Policy]
    protector: Protector
    report: Report
    progress: Callable[[str, int, int], None]
    is_dry: bool
    pool: ThreadPoolExecutor

    @classmethod
    def begin(
        cls,
        connection: psycopg.Connection,
        archive: Archive,
        table: str | None,
        progress: Callable[[str, int, int], None],
        *,
        is_dry: bool = False,
        takes_as_text: bool = False,
    ) -> _Run:
        found = policies(connection, table)
        if table is not None and not found:
            raise AgentbooksError(
                f"encrypt: {table} has no row in ops.protected_columns; check the name."
            )
        needs_keys = not is_dry and any(policy.is_encrypted for policy in found)
        keys = _given("encrypt") if needs_keys else Keys.chosen()
        noted: dict[str, str] = dict(
            connection.execute("select key_id, fingerprint from ops.encryption_keys").fetchall()
        )
        if is_dry:
            for key_id in keys.by_id if keys else ():
                if keys and noted.get(key_id, keys.fingerprint(key_id)) != keys.fingerprint(key_id):
                    raise AgentbooksError(f"keys: {ANOTHER.format(key_id)}")
        else:
            note_keys(connection, keys)
        protector = Protector(keys, frozenset(noted), takes_as_text)
        pool = ThreadPoolExecutor(1, "agentbooks-encrypt")
        return cls(connection, archive, found, protector, Report(keys), progress, is_dry, pool)

    # Tables

    def walk(self, policy: Policy, *, is_again: bool = False) -> int:
        """Go through a column's table and archive; return how many values were still to be done.

        The first time every token is decrypted, as a text may only look like one; then it is enough to
        look at what does not, which has come meanwhile.
        """
        keys = self.protector.keys
        is_skipped = is_again and keys is not None and not policy.redacted
        done_prefix = f"{encryption.PREFIX}{keys.current}." if keys and is_skipped else None
        places = self.connection.execute(PLACES, (policy.table_name,)).fetchall()
        total, done, left = sum(blocks for *_, blocks in places), 0, 0
        for relation, place, blocks in places:
            for first in range(0, blocks, BLOCKS):
                last = min(first + BLOCKS, blocks)
                left += self.walk_blocks(policy, relation, place, first, last, done_prefix)
                done += last - first
                self.progress(str(policy), done, total)
        self.report.left[str(policy)] = left
        return left

    def walk_blocks(
        self, policy: Policy, relation: int, place: str, first: int, last: int, done: str | None
    ) -> int:
        tally = self.report.at(policy, place)
        rows = SHARES * BATCH

        def read(after: str) -> list[tuple[str, str, list[str], str, bool, int]]:
            parameters = (policy.table_name, policy.column_name, relation, after, last, done, rows)
            return self.connection.execute(VALUES, parameters).fetchall()

        left, values = 0, read(f"({first},0)")
        # While the database writes some, the next ones are encrypted.
        writing: Future[Any] = self.pool.submit(int)
        while values:
            changed = []
            for row, written, identity, content, is_held, _ in values:
                kept = policy.without_redaction() if is_held else policy
                treated = self.protector.treat(kept, identity, content)
                tally.note(treated)
                if treated.flaw:
                    self.report.flaws[treated.flaw] = None
                if treated.content != content:
                    changed.append((row, written, treated))
            left += len(changed)
            writing.result()
            known_holds = values[-1][-1]
            values = read(values[-1][0]) if len(values) == rows else []
            if changed and not self.is_dry:
                writing = self.pool.submit(
                    self.rewrite, policy, relation, changed, tally, known_holds
                )
        writing.result()
        return left

    def rewrite(
        self,
        policy: Policy,
        relation: int,
        changed: list[tuple[str, str, Treated]],
        tally: Tally,
        known_holds: int,
    ) -> None:
        shares = -(-len(changed) // BATCH)
        for share in range(shares):
            rows, versions, treated = zip(*changed[share::shares], strict=True)
            # As JSON, which is written faster than an array.
            lists = (rows, versions, [one.content for one in treated])
            place = (policy.table_name, policy.column_name, relation)
            parameters = (*place, *map(json.dumps, lists), known_holds)
            (rewritten,) = _one(self.connection, REWRITE, parameters)
            places = dict(zip(rows, treated, strict=True))
            tally.rewritten += len(rewritten)
            tally.redacted += sum(places[row].places for row in rewritten)

    # Files

    def walk_files(self) -> None:
        """Write files anew in which something is to be done."""
        for table, group in groupby(self.policies, lambda policy: policy.table_name):
            protected = list(group)
            files = self.files(table)
            for number, file in enumerate(files, 1):
                if self.is_due(file, protected) and not self.is_dry:
                    self.replace(file, protected)
                self.progress(f"files of {table}", number, len(files))

    def files(self, table: str) -> list[_File]:
        with self.connection.cursor(row_factory=class_row(_File)) as cursor:
            return cursor.execute(FILES, (table,)).fetchall()

    def is_due(self, file: _File, protected: list[Policy]) -> bool:
        """Count what a file has, and tell whether something is to be done."""
        is_due = False
        with self.archive.fetched(file.url, file.sha256) as local:
            for policy in protected:
                tally = self.report.at(policy, file.url)
                for batch in _batches(local, [*policy.identity, policy.column_name]):
                    for content, treated in self.in_batch(batch, file, policy):
                        tally.note(treated)
                        if treated.flaw:
                            self.report.flaws[treated.flaw] = None
                        is_due |= treated.content != content
        return is_due

    def in_batch(
        self, batch: pa.RecordBatch, file: _File, policy: Policy
    ) -> Iterator[tuple[str, Treated]]:
        kept = policy.without_redaction() if file.is_held else policy
        for identity, content in _cells(batch, policy):
            if content is not None:
                yield content, self.protector.treat(kept, identity, content)

    def replace(self, file: _File, protected: list[Policy]) -> None:
        """Write a file anew, prove that it says the same, enter it, and only then delete the old one."""
        with cold_archive.alone(self.connection, file.table_name, file.month):
            if file not in self.files(file.table_name):
                return  # replaced or purged meanwhile: the next run looks at what there is
            with self.archive.fetched(file.url, file.sha256) as old:
                self.write_anew(file, protected, old)
            cold_archive.delete_loose_files(self.connection, self.archive)

    def write_anew(self, file: _File, protected: list[Policy], old: Path) -> None:
        """Do it.

        The database compares the other columns; what was in clear is not shown to it again, but decrypted
        here from the new file and compared with the old one.
        """
        with tempfile.TemporaryDirectory() as folder:
            draft, new = Path(folder) / "draft.parquet", Path(folder) / "new.parquet"
            self.write(draft, old, lambda batch: self.protected_batch(batch, file, protected))
            rows, checksums = self.read_back(file, draft)
            manifest = cold_archive.rewritten_manifest(old, rows, checksums)
            self.write(new, draft, lambda batch: batch, manifest)
            size, sha256 = new.stat().st_size, cold_archive.sha256_of(new)
            url = cold_archive.rewritten_url(file.url, sha256)
            urls = [f"{url}.part", url, file.url]
            cold_archive.note_loose_files(self.connection, file.table_name, file.month, urls)
            changed = {policy.column_name for policy in protected}
            kept = {name: total for name, total in file.checksums.items() if name not in changed}
            self.archive.put_proven(
                new,
                url,
                sha256,
                lambda copy: (
                    rows == file.rows
                    and kept.items() <= checksums.items()
                    and (rows, checksums) == self.read_back(file, copy)
                    and self.says(copy, file, protected) == self.says(old, file, protected)
                ),
            )
            # A hold that has come meanwhile keeps the old one, and the next run looks at it again.
            parameters = (file.url, url, size, sha256, Jsonb(checksums), file.known_holds)
            self.connection.execute("select ops.replace_file(%s, %s, %s, %s, %s, %s)", parameters)

    def protected_batch(
        self, batch: pa.RecordBatch, file: _File, protected: list[Policy]
    ) -> pa.RecordBatch:
        for policy in protected:
            if policy.column_name not in batch.schema.names:
                continue
            place = batch.schema.names.index(policy.column_name)
            treated = [one for _, one in self.in_batch(batch, file, policy)]
            contents, done = batch[place].to_pylist(), iter(treated)
            anew = [content if content is None else next(done).content for content in contents]
            tally = self.report.at(policy, file.url)
            tally.rewritten += sum(a != b for a, b in zip(anew, contents, strict=True))
            tally.redacted += sum(one.places for one in treated)
            batch = batch.set_column(place, batch.schema.field(place), pa.array(anew, pa.string()))
        return batch

    def says(self, path: Path, file: _File, protected: list[Policy]) -> list[str]:
        """Hash what the protected columns of a file say, decrypted and redacted."""
        digests = []
        for policy in protected:
            digest = hashlib.sha256()
            rules = [] if file.is_held else policy.redacted
            for batch in _batches(path, [*policy.identity, policy.column_name]):
                for identity, content in _cells(batch, policy):
                    if content is not None:
                        clear = self.protector.says(policy, identity, content)
                        content, _ = redact(clear, rules, is_json=policy.is_json)
                    digest.update(json.dumps(content).encode())
            digests.append(digest.hexdigest())
        return digests

    @staticmethod
    def write(
        path: Path,
        source: Path,
        change: Callable[[pa.RecordBatch], pa.RecordBatch],
        manifest: bytes | None = None,
    ) -> None:
        schema = parquet.read_schema(source).remove_metadata()
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(source):
                rows = pa.Table.from_batches([change(batch)]).replace_schema_metadata()
                writer.write_table(rows, row_group_size=cold_archive.ROWS)
            if manifest is not None:
                writer.add_key_value_metadata({cold_archive.MANIFEST: manifest})

    def read_back(self, file: _File, path: Path) -> tuple[int, dict[str, int]]:
        return cold_archive.read_back(self.connection, file.table_name, file.schema, path)


@dataclass(frozen=True)
class _File:
    """A file of a month of a table."""

    table_name: str
    month: date
    url: str
    sha256: str
    rows: int
    checksums: dict[str, int]
    schema: dict[str, str]
    is_held: bool
    known_holds: int


def _batches(path: Path, names: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file; none where it is older than one of the columns."""
    with parquet.ParquetFile(path) as file:
        if names is None or set(names) <= set(file.schema_arrow.names):
            yield from file.iter_batches(cold_archive.ROWS, columns=names)


def _cells(batch: pa.RecordBatch, policy: Policy) -> Iterator[tuple[tuple[Any, ...], str | None]]:
    identities = zip(*(batch[name].to_pylist() for name in policy.identity), strict=True)
    return zip(identities, batch[policy.column_name].to_pylist(), strict=True)


def _token(policy: Policy, content: str) -> str | None:
    if encryption.PREFIX not in content:
        return None
    return encryption.token_in(json.loads(content) if policy.is_json else content)


def _given(what: str) -> Keys:
    keys = Keys.chosen()
    if keys is None:
        raise AgentbooksError(
            f"{what}: no key is given; set {encryption.FILE_VARIABLE} to a file with a line `id:key` for "
            f"each, the current one first, and {encryption.MAKE_ONE}."
        )
    return keys


def _one(connection: psycopg.Connection, query: str, parameters: Any) -> tuple[Any, ...]:
    return connection.execute(query.encode(), parameters).fetchall()[0]


@contextmanager
def _told(what: str = "encrypt") -> Iterator[None]:
    """Say in a sentence what the database refused."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise AgentbooksError(
            f"{what}: {error.diag.message_primary}; it needs a role in agentbooks_retention."
        ) from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction) as error:
        raise AgentbooksError(
            f"{what}: {error.diag.message_primary}; run `agentbooks bootstrap` first."
        ) from error
    except psycopg.Error as error:
        reason = database.first_line(error)
        raise AgentbooksError(f"{what}: {reason.partition(': ')[2] or reason}.") from error
