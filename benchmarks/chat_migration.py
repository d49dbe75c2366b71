"""How fast messages move from their first table to their second, and what writers notice of it.

`python -m benchmarks.chat_migration` fills chat.chat_messages in a database of the embedded server, or of
the one that AGENTBOOKS_DATABASE_URL names. Then eight writers, who know the first table, the second or
both, write twenty times a second each, first by themselves, then beside the migration up to its end.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg

from benchmarks.beside import lock_waits, p99, writers
from benchmarks.writes import _fresh_database
from orchestration import chat_migration, database

if TYPE_CHECKING:
    from random import Random

ROWS = 500_000
PAUSE = 0.05
LISTENING = 10.0

PEOPLE = """
insert into chat.users (id, username)
select md5('user ' || i)::uuid, 'user ' || i from generate_series(0, 199) as i;
insert into chat.agents (id, user_id, name, description)
select md5('agent ' || i)::uuid, md5('user ' || i)::uuid, 'agent ' || i, '' from generate_series(0, 19) as i;
insert into chat.workspaces (id, name, owner_user_id)
select md5('workspace ' || i)::uuid, 'w', md5('user ' || i)::uuid from generate_series(0, 19) as i;
insert into chat.chat_channels (id, workspace_id, name)
select md5('channel ' || i)::uuid, md5('workspace ' || i % 20)::uuid, 'c' from generate_series(0, 399) as i;
insert into chat.conversation_sessions (id, conversation_id, user_id)
select md5('session ' || i)::uuid, md5('session ' || i)::uuid, md5('user ' || i)::uuid
from generate_series(0, 199) as i
"""
MESSAGES = """
insert into chat.chat_messages (channel_id, sender_user_id, sender_agent_id, content, metadata, created_at)
select
    md5('channel ' || i %% 400)::uuid,
    case when i / 400 %% 2 = 0 then md5('user ' || i %% 200)::uuid end,
    case when i / 400 %% 2 = 1 then md5('agent ' || i %% 20)::uuid end,
    i || repeat(' what was said', 10),
    case when i / 400 %% 2 = 1 then '{"tokens": 120, "model": "m"}'::jsonb end,
    now() - i * interval '80 days' / %(rows)s
from generate_series(0, %(rows)s - 1) as i
"""
FIRST = """
insert into chat.chat_messages (id, channel_id, sender_user_id, content)
values (%(id)s, md5('channel 1')::uuid, md5(%(user)s)::uuid, 'new')
"""
SECOND = """
insert into chat.chat_messages_v2 (id, session_id, conversation_id, channel_id, sender_user_id, role, content)
values (
    %(id)s, md5(%(session)s)::uuid, md5(%(session)s)::uuid, md5('channel 1')::uuid, md5(%(user)s)::uuid,
    'user', '{"type": "text", "text": "new"}'
)
"""


# What the server can do at all: one table, no keys to others, nothing looked up.
BARE = """
create table bench_messages (like chat.chat_messages_v2 including all);
insert into bench_messages (
    id, session_id, conversation_id, channel_id, sender_user_id, sender_agent_id, role, content
)
select
    o.id, o.channel_id, o.channel_id, o.channel_id, o.sender_user_id, o.sender_agent_id, 'user',
    jsonb_build_object('type', 'text', 'text', o.content)
from (select * from chat.chat_messages limit 50000) as o
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    count = parser.parse_args().rows
    with _fresh_database(database.database_url()) as connection:
        connection.execute(PEOPLE)
        connection.execute(MESSAGES.encode(), {"rows": count})
        connection.execute("vacuum analyze")
        _measure(connection, f"{connection.info.dsn} password='{connection.info.password}'", count)


def _measure(connection: psycopg.Connection, url: str, count: int) -> None:
    with writers(url, _write, PAUSE) as alone:
        time.sleep(LISTENING)
    print(f"writers alone: p99 {p99(alone):.1f} ms, longest {max(alone):.1f} ms")
    with writers(url, _write, PAUSE) as beside, lock_waits(url) as waits:
        chat_migration.start(connection)
        started = time.perf_counter()
        copied = chat_migration.backfill(connection)
        seconds = time.perf_counter() - started
        bare = time.perf_counter()
        connection.execute(BARE)
        bare = min(count, 50_000) / (time.perf_counter() - bare)
        print(
            f"{copied:,} of {count:,} messages copied, their sessions counted: "
            f"{copied / seconds:,.0f} rows/s (bar 20,000); a bare insert with the same indexes and checks "
            f"beside the same writers: {bare:,.0f} rows/s"
        )
        started = time.perf_counter()
        chat_migration.switch(connection, 1)
        print(f"compared, and reads switched: {time.perf_counter() - started:.1f} s")
        chat_migration.finish(connection)
    print(
        f"writers beside it: p99 {p99(beside):.1f} ms, longest {max(beside):.1f} ms, of it waiting "
        f"for a lock {max(waits):.0f} ms (bar 500)"
    )
    for _ in range(3):
        started = time.perf_counter()
        found = chat_migration.rollback(connection)
        print(f"back to {found.phase}: {time.perf_counter() - started:.1f} s")


def _write(session: psycopg.Connection, number: int, draw: Random) -> None:
    """Write to the first table, the second or both."""
    names = {"user": f"user {number}", "session": f"session {number}", "id": uuid4()}
    try:
        with session.transaction():
            for statement in ([FIRST], [SECOND], [FIRST, SECOND])[number % 3]:
                session.execute(statement.encode(), names)
    except psycopg.DatabaseError as error:
        if error.sqlstate != "AB410":  # the first table is closed
            raise


if __name__ == "__main__":
    main()
