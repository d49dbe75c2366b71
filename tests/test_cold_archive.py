"""Months of raw tables as files: what leaves comes back the same, or not at all."""

from __future__ import annotations

import functools
import threading
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest
import s3fs
from moto.server import ThreadedMotoServer
from psycopg.types.json import Jsonb
from pyarrow import parquet
from raw_rows import ROWS, insert
from test_odd_rows import FREE, OBJECTS, TEXTS

from orchestration import bootstrap, cold_archive, server
from orchestration.cold_archive import Archive
from orchestration.errors import AgentbooksError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer

MARCH = date(2020, 3, 1)
SPANS = "observability.spans"
# Tables that are kept by months, and the column that tells their rows apart.
MONTHLY = {
    "raaf.raaf_tracing_spans": "span_id",
    SPANS: "span_id",
    "traceability.hook_executions": "id",
    "traceability.pattern_usage_log": "id",
    "chat.chat_messages_v2": "id",
    "agentic.agent_decisions": "decision_id",
    "agentic.conversation_history": "message_id",
}
# Numbers and times that are none.
BEYOND: dict[str, list[dict[str, Any]]] = {
    "raaf.raaf_tracing_spans": [{"created_at": "infinity"}, {"updated_at": "-infinity"}],
    "traceability.pattern_usage_log": [
        {"match_score": score, "actual_duration_ms": took, "expected_duration_ms": 7}
        for score, took in ((0.5, 3), (None, 0), (1, 10**9))
    ],
}


WAITING = "select count(*)::int from pg_locks where locktype = 'advisory' and not granted"


def odd_rows(table: str) -> Iterator[dict[str, Any]]:
    """Make rows with all that is odd in each of their free columns."""
    rows = list(BEYOND.get(table, []))
    for name, texts, objects in FREE:
        if name == table:
            rows += [dict.fromkeys(texts.split(), text) for text in TEXTS if texts]
            rows += [dict.fromkeys(objects.split(), Jsonb(content)) for content in OBJECTS]
    for number, row in enumerate(rows, 101):
        yield {MONTHLY[table]: f"00000000-0000-4000-8000-{number:012}"} | row


@pytest.fixture(scope="module")
def url(server18: TestServer) -> str:
    """A database with odd rows in March 2020."""
    url = server18.database()
    with psycopg.connect(url, autocommit=True) as connection:
        bootstrap.bootstrap(connection)
        connection.execute(
            "select ops.create_month_partitions(partrelid::regclass, %(day)s, %(day)s)"
            " from pg_partitioned_table where partrelid::regclass::text not like 'archive.%%'",
            {"day": MARCH},
        )
        for table, row in ROWS.items():
            insert(connection, table, row)
        for table in MONTHLY:
            for row in odd_rows(table):
                insert(connection, table, ROWS[table] | row)
    return url


@pytest.fixture
def connection(url: str, connect: Callable[[str], psycopg.Connection]) -> psycopg.Connection:
    """A connection to that database."""
    return connect(url)


@pytest.fixture(autouse=True)
def no_files(url: str) -> None:
    """Each test has an archive of its own, and the database knows of no file in another."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from ops.archive_files")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An empty folder."""
    return Archive(str(tmp_path / "archive"))


def digest(connection: psycopg.Connection, table: str) -> Any:
    """Every value of a table, as PostgreSQL writes it."""
    return connection.execute(
        f"select count(*), sum(hashtextextended(r::text, 0)) from {table} as r".encode()
    ).fetchone()


@pytest.mark.parametrize("table", MONTHLY)
def test_what_leaves_comes_back_value_by_value(
    connection: psycopg.Connection, archive: Archive, table: str
) -> None:
    """Values that a file cannot say: infinite times, empty texts, JSON as it was written."""
    before = digest(connection, table)
    archived = cold_archive.remove_month(connection, archive, table, MARCH)
    assert archived.rows == before[0] > 2
    assert digest(connection, table) == (0, None)
    assert cold_archive.restore_month(connection, archive, table, MARCH) == archived.rows
    assert digest(connection, table) == before


def test_a_file_says_what_it_is(connection: psycopg.Connection, archive: Archive) -> None:
    """An archive that nobody can read any more once the database is gone."""
    archived = cold_archive.export_month(connection, archive, "agentic.agent_decisions", MARCH)
    with archive.fetched(archived.url) as local:
        schema = parquet.read_schema(local)
        metadata = parquet.read_metadata(local).metadata
    assert str(schema.field("created_at").type) == "timestamp[us, tz=UTC]"
    assert str(schema.field("confidence_score").type).startswith("decimal128")
    for word in (b'"month": "2020-03"', b'"checksums"', b'"types"', b'"code_version"'):
        assert word in metadata[cold_archive.MANIFEST]


def refused(connection: psycopg.Connection, archive: Archive) -> str:
    """Try to restore and to read March; return the one reason why neither can be done."""
    with pytest.raises(AgentbooksError) as restoring:
        cold_archive.restore_month(connection, archive, SPANS, MARCH)
    with pytest.raises(AgentbooksError) as reading:
        list(cold_archive.read_staged(connection, archive, SPANS, MARCH, MARCH))
    assert str(reading.value) == str(restoring.value)
    return str(restoring.value)


@pytest.fixture
def staged(connection: psycopg.Connection) -> Iterator[None]:
    """A staging view of spans, as dbt makes it."""
    connection.execute("create schema staging")
    connection.execute(
        "create view staging.stg_observability__spans as select * from history.observability__spans"
    )
    yield
    connection.execute("drop schema staging cascade")


@pytest.mark.usefixtures("staged")
def test_a_file_with_another_byte_is_refused(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """A restore that takes what a broken disk has made of a file."""
    before = digest(connection, SPANS)
    archived = cold_archive.remove_month(connection, archive, SPANS, MARCH)
    good = Path(archived.url).read_bytes()
    for place in range(0, len(good), max(1, len(good) // 100)):
        Path(archived.url).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert "is not the file that was archived" in refused(connection, archive)
    for broken in (b"", good[: len(good) // 2], good[:-1], good + b"\0"):
        Path(archived.url).write_bytes(broken)
        assert "is not the file that was archived" in refused(connection, archive)
    Path(archived.url).unlink()
    assert "cannot read" in refused(connection, archive)
    assert digest(connection, SPANS) == (0, None)
    Path(archived.url).write_bytes(good)
    assert b"".join(cold_archive.read_staged(connection, archive, SPANS, MARCH, MARCH))
    cold_archive.restore_month(connection, archive, SPANS, MARCH)
    assert digest(connection, SPANS) == before


@pytest.mark.usefixtures("staged")
def test_a_condition_that_cannot_be_asked_is_told(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """What PostgreSQL says of a condition, told as a defect of ours."""
    cold_archive.remove_month(connection, archive, SPANS, MARCH)
    for where in (
        "model =",
        "nothing = 1",
        "count(*) > 1",
        "nosuchfn(1)",
        "$1 = 1",
        "row_number() over () = 1",
        "generate_series(1, 2) = 1",
    ):
        with pytest.raises(AgentbooksError) as told:
            list(cold_archive.read_staged(connection, archive, SPANS, MARCH, MARCH, where))
        assert f"{where} cannot be asked of staging.stg_observability__spans" in str(told.value)
    cold_archive.restore_month(connection, archive, SPANS, MARCH)


def with_values(content: pa.Table, column: str, values: list[str | None]) -> pa.Table:
    """Give spans other values."""
    return content.set_column(content.column_names.index(column), column, [values])


ALTERED: dict[str, Callable[[pa.Table], pa.Table]] = {
    "changed": lambda rows: with_values(rows, "name", ["another", *rows["name"].to_pylist()[1:]]),
    "emptied": lambda rows: with_values(rows, "name", [None, *rows["name"].to_pylist()[1:]]),
    "swapped": lambda rows: with_values(rows, "span_id", rows["span_id"].to_pylist()[::-1]),
    "removed": lambda rows: rows.slice(1),
    "doubled": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    "doubled in place of another": lambda rows: pa.concat_tables([rows.slice(1), rows.slice(1, 1)]),
}


@pytest.mark.usefixtures("staged")
@pytest.mark.parametrize("alteration", ALTERED)
def test_a_row_that_was_altered_in_the_file_is_refused(
    connection: psycopg.Connection, archive: Archive, alteration: str
) -> None:
    """A file that somebody wrote anew, and whose checksum they entered."""
    archived = cold_archive.remove_month(connection, archive, SPANS, MARCH)
    good = Path(archived.url).read_bytes()
    parquet.write_table(ALTERED[alteration](parquet.read_table(archived.url)), archived.url)
    assert "is not the file that was archived" in refused(connection, archive)
    entering = "update ops.archive_files set sha256 = encode(sha256(%s), 'hex')"
    connection.execute(entering, (Path(archived.url).read_bytes(),))
    with pytest.raises(
        AgentbooksError, match=r"are not those that were archived|not-null|duplicate"
    ):
        cold_archive.restore_month(connection, archive, SPANS, MARCH)
    verified = functools.partial(
        cold_archive.read_staged, connection, archive, SPANS, MARCH, MARCH, is_verified=True
    )
    with pytest.raises(AgentbooksError, match=r"are not those that were archived|not-null"):
        next(verified())
    assert digest(connection, SPANS) == (0, None)
    Path(archived.url).write_bytes(good)
    connection.execute(entering, (good,))
    assert list(verified()) == list(
        cold_archive.read_staged(connection, archive, SPANS, MARCH, MARCH)
    )
    cold_archive.restore_month(connection, archive, SPANS, MARCH)


def test_a_month_that_may_not_leave_does_not_stay_frozen(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """A job that died once, and whose month waits for ever for what came since it was frozen."""
    before = digest(connection, SPANS)
    connection.execute("select ops.freeze_month(%s, %s)", (SPANS, MARCH))
    connection.execute("update observability.spans set name = name")
    for place, sentence in (
        (archive, "changes came since"),
        (Archive("/proc/no"), "is not in /proc/no"),
    ):
        with pytest.raises(AgentbooksError, match=sentence):
            cold_archive.remove_month(connection, place, SPANS, MARCH)
        assert connection.execute("select from ops.departures").fetchall() == []
    assert cold_archive.remove_month(connection, archive, SPANS, MARCH).rows == before[0]
    cold_archive.restore_month(connection, archive, SPANS, MARCH)


def test_a_month_restored_beside_archived_parents_moves_on_with_them(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """A month that comes back into the warm archive, and that nothing brings from there into its table."""
    before, due = digest(connection, SPANS), Jsonb({"clock": "started_at", "before": "2020-04-01"})
    connection.execute("select ops.archive_month(%s, %s)", (SPANS, MARCH))
    connection.execute("select ops.archive_rows('observability.traces', %s)", (due,))
    cold_archive.remove_month(connection, archive, SPANS, MARCH)
    cold_archive.restore_month(connection, archive, SPANS, MARCH)
    assert digest(connection, "archive.observability__spans") == before
    with pytest.raises(AgentbooksError, match="bring those back first"):
        list(cold_archive.restore(connection, archive, SPANS, MARCH, MARCH))
    connection.execute("select ops.unarchive_rows('observability.traces', %s)", (due,))
    list(cold_archive.restore(connection, archive, SPANS, MARCH, MARCH))
    assert digest(connection, SPANS) == before


def test_two_jobs_do_not_write_one_file(url: str, archive: Archive) -> None:
    """The one's file, half of which the other has just written anew, as the only copy of a month."""
    told: list[str] = []

    def remove() -> None:
        with psycopg.connect(url, autocommit=True) as session:
            try:
                cold_archive.remove_month(session, archive, SPANS, MARCH)
                told.append("")
            except AgentbooksError as error:
                told.append(str(error))

    with psycopg.connect(url, autocommit=True) as session:
        before = digest(session, SPANS)
        # While nothing can be frozen, all of them come to the door.
        with session.transaction():
            session.execute("select ops.take_lifecycle_lock()")
            jobs = [threading.Thread(target=remove) for _ in range(3)]
            for job in jobs:
                job.start()
            while session.execute(WAITING).fetchall() != [(3,)]:
                time.sleep(0.01)
        for job in jobs:
            job.join()
        assert sorted(told)[0] == ""
        assert all("has left" in sentence for sentence in sorted(told)[1:])
        cold_archive.restore_month(session, archive, SPANS, MARCH)
        assert digest(session, SPANS) == before


def test_a_storage_that_lies_keeps_the_rows(
    connection: psycopg.Connection, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows dropped for a file that was cut off on its way."""
    before = digest(connection, SPANS)
    put = Archive.put

    def put_half(self: Archive, local: Path, url: str) -> None:
        content = local.read_bytes()
        local.write_bytes(content[: len(content) // 2])
        put(self, local, url)

    monkeypatch.setattr(Archive, "put", put_half)
    with pytest.raises(AgentbooksError, match="is not the file that was archived"):
        cold_archive.remove_month(connection, archive, SPANS, MARCH)
    assert digest(connection, SPANS) == before


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        (
            "/proc/nowhere",
            r"cannot write /proc/nowhere/observability\.spans/2020-03\.parquet\.part",
        ),
        ("nosuch://bucket/x", "nosuch://bucket/x cannot be opened"),
        ("memory://cold", r"memory://cold cannot be opened \(what is in memory is gone"),
        ("ftp://127.0.0.1:1/x", "ftp://127.0.0.1:1/x cannot be opened"),
    ],
)
def test_a_place_that_cannot_be_written_is_named(
    connection: psycopg.Connection, place: str, sentence: str
) -> None:
    """A traceback, or rows that went nowhere."""
    before = digest(connection, SPANS)
    with pytest.raises(AgentbooksError, match=sentence):
        cold_archive.remove_month(connection, Archive(place), SPANS, MARCH)
    assert digest(connection, SPANS) == before


@pytest.mark.parametrize(
    "table", ["observability.nothing", "seeds.model_prices", "observability.profiles"]
)
def test_a_table_that_has_no_months_is_refused(
    connection: psycopg.Connection, archive: Archive, table: str
) -> None:
    """A traceback for a word that is wrong."""
    with pytest.raises(AgentbooksError, match=table):
        cold_archive.remove_month(connection, archive, table, MARCH)


def test_a_month_that_has_left_is_not_written_over(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """The only copy of a month replaced by a file of what came late."""
    before = digest(connection, SPANS)
    cold_archive.remove_month(connection, archive, SPANS, MARCH)
    for attempt in (cold_archive.export_month, cold_archive.remove_month):
        with pytest.raises(AgentbooksError, match="has left"):
            attempt(connection, archive, SPANS, MARCH)
    cold_archive.restore_month(connection, archive, SPANS, MARCH)
    assert digest(connection, SPANS) == before


def test_an_archive_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is looked for in another folder, as a job was started in another one."""
    monkeypatch.chdir(tmp_path)
    names = ("cold", "./cold/", f"{tmp_path}/x/../cold", f"file://{tmp_path}/cold")
    assert {Archive(name).url for name in names} == {f"{tmp_path}/cold"}
    assert {Archive(name).url for name in ("s3://cold/x", "s3://cold/x/")} == {"s3://cold/x"}
    monkeypatch.delenv(cold_archive.URL_VARIABLE, raising=False)
    monkeypatch.setenv(server.HOME_VARIABLE, str(tmp_path / "home"))
    assert Archive.chosen().url == f"{tmp_path}/home/archive"


def test_a_month_does_not_leave_for_a_second_archive(
    connection: psycopg.Connection, archive: Archive, tmp_path: Path
) -> None:
    """A file that stays where the archive was before, and that nothing knows of."""
    archived = cold_archive.remove_month(connection, archive, SPANS, MARCH)
    cold_archive.restore_month(connection, archive, SPANS, MARCH)
    with pytest.raises(AgentbooksError, match=r"2020-03\.parquet is not in .*/elsewhere; set"):
        cold_archive.remove_month(connection, Archive(f"{tmp_path}/elsewhere"), SPANS, MARCH)
    assert connection.execute("select url from ops.archive_files").fetchall() == [(archived.url,)]
    assert Path(archived.url).exists()


def test_a_month_with_nothing_archived_cannot_be_restored(
    connection: psycopg.Connection, archive: Archive
) -> None:
    """A restore of nothing that empties the table."""
    with pytest.raises(AgentbooksError, match=r"2020-04 of observability\.spans has not left"):
        cold_archive.restore_month(connection, archive, SPANS, date(2020, 4, 1))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("cold", exist_ok=True)
    yield "s3://cold/agentbooks"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_month_goes_to_s3_and_comes_back(connection: psycopg.Connection, bucket: str) -> None:
    """An archive that works on the disk at hand alone."""
    before = digest(connection, SPANS)
    archive = Archive(bucket)
    archived = cold_archive.remove_month(connection, archive, SPANS, MARCH)
    assert archived.url == "s3://cold/agentbooks/observability.spans/2020-03.parquet"
    files = s3fs.S3FileSystem().find("cold")
    assert files == ["cold/agentbooks/observability.spans/2020-03.parquet"], "and no other"
    assert digest(connection, SPANS) == (0, None)
    cold_archive.restore_month(connection, archive, SPANS, MARCH)
    assert digest(connection, SPANS) == before


def test_a_bucket_that_is_not_there_is_named(connection: psycopg.Connection, bucket: str) -> None:
    """A traceback of a library for a storage without rights."""
    assert bucket
    before = digest(connection, SPANS)
    with pytest.raises(AgentbooksError, match=r"cannot write s3://elsewhere/.* \(.*bucket"):
        cold_archive.remove_month(connection, Archive("s3://elsewhere"), SPANS, MARCH)
    assert digest(connection, SPANS) == before


def test_a_url_that_may_name_other_files_is_refused(
    connection: psycopg.Connection, bucket: str
) -> None:
    """A rename that a storage takes for a pattern, and that moves what is somebody else's."""
    for url in (f"{bucket}/[a]", f"{bucket}/*", f"{bucket}/a?"):
        with pytest.raises(AgentbooksError, match="make it a pattern, which may name other files"):
            cold_archive.remove_month(connection, Archive(url), SPANS, MARCH)


@pytest.fixture
def changing(server18: TestServer, url: str) -> Iterator[psycopg.Connection]:
    """A copy of that database, whose spans may get other columns."""
    with psycopg.connect(server18.copy(url.rpartition("/")[2]), autocommit=True) as connection:
        alter(connection, "add column price numeric", "add column note text")
        connection.execute("update observability.spans set price = 1.5, inputs = '{\"q\": 1}'")
        yield connection


def alter(connection: psycopg.Connection, *changes: str) -> None:
    """Change the table of spans and its archive, as a migration does."""
    connection.execute("drop schema if exists staging cascade")
    for change in changes:
        if not change.startswith("add"):
            connection.execute("drop view history.observability__spans")
        connection.execute(f"alter table observability.spans {change}".encode())
        if not change.startswith("add"):
            connection.execute(f"alter table archive.observability__spans {change}".encode())
        connection.execute("select ops.sync_archives()")
    connection.execute("create schema staging")
    connection.execute(
        "create view staging.stg_observability__spans as select * from history.observability__spans"
    )


def test_a_file_that_is_older_than_the_tables_columns_comes_back(
    changing: psycopg.Connection, archive: Archive
) -> None:
    """A month that nothing restores, as the table has got a column that must not be null or another type."""
    archived = cold_archive.remove_month(changing, archive, SPANS, MARCH)
    alter(
        changing,
        "add column region text not null default 'eu'",
        "alter column price type numeric(30,12)",
        "add column dearer numeric generated always as (price * 2) stored",
        "drop column note",
    )
    content = b"".join(
        cold_archive.read_staged(changing, archive, SPANS, MARCH, MARCH, is_verified=True)
    )
    assert content.count(b",1.500000000000,eu,3.000000000000") == archived.rows
    cold_archive.restore_month(changing, archive, SPANS, MARCH)
    assert changing.execute(
        "select price::text, region, dearer, count(*)::int from observability.spans group by 1, 2, 3"
    ).fetchall() == [("1.500000000000", "eu", 3, archived.rows)]


def test_a_column_without_a_default_says_why_a_month_cannot_come_back(
    changing: psycopg.Connection, archive: Archive
) -> None:
    """A database's error for rows that cannot have what the table asks of them."""
    cold_archive.remove_month(changing, archive, SPANS, MARCH)
    alter(
        changing, "add column region text not null default 'eu'", "alter column region drop default"
    )
    with pytest.raises(AgentbooksError, match="older than column region, which must not be null"):
        cold_archive.restore_month(changing, archive, SPANS, MARCH)


def test_values_of_a_column_that_the_table_has_lost_are_kept(
    changing: psycopg.Connection, archive: Archive
) -> None:
    """A renamed column that comes back empty, and whose values the next file no longer has."""
    cold_archive.remove_month(changing, archive, SPANS, MARCH)
    alter(changing, "rename column inputs to input_payload")
    assert "has values of inputs, which the table has no more" in refused(changing, archive)
    alter(changing, "add column inputs jsonb")
    cold_archive.restore_month(changing, archive, SPANS, MARCH)
    assert changing.execute("select distinct inputs from observability.spans").fetchall() == [
        ({"q": 1},)
    ]
