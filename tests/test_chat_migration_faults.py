"""The chat migration or its session is killed at any step under eight writers; run again, it goes on.

`AGENTBOOKS_FAULTS` sets how many kills there are: 12 unless it says otherwise.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from killing import Stepwise, kill_at_random, stepwise
from test_chat_migration import HALL, PEOPLE, ROOM, first, rows, say_first, say_second, text

from orchestration import chat_migration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import TestServer
    from test_lifecycle_faults import Job

KILLS = int(os.environ.get("AGENTBOOKS_FAULTS", "12"))
MESSAGES = 4000
# A writer tries again what a lock kept it from, and gives up the first table once that is closed.
IN_THE_WAY = ("40P01", "55P03", "AB410")

EARLIER = f"""
insert into chat.chat_messages (
    id, channel_id, sender_user_id, sender_agent_id, content, metadata, created_at
)
select
    md5(i::text)::uuid, case when i %% 9 > 0 then '{ROOM}'::uuid end,
    case when i %% 2 = 0 then '{UUID(int=1)}'::uuid end, case when i %% 2 = 1 then '{UUID(int=3)}'::uuid end,
    'earlier ' || i, '{{"tokens": 5}}', timestamptz '2026-02-10 12:00+00' - i * interval '20 minutes'
from generate_series(1, %s) as i
"""


@dataclass
class Writer:
    """An application with messages of its own, and what they must say."""

    url: str
    knows: str
    draw: Random
    said: dict[UUID, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    longest: float = 0
    error: BaseException | None = None

    def run(self, is_over: threading.Event) -> None:
        """Write until it is over."""
        try:
            with psycopg.connect(self.url) as connection:
                while not is_over.is_set():
                    self.write(connection)
                    time.sleep(self.draw.random() / 10)
        except BaseException as error:
            self.error = error

    def write(self, connection: psycopg.Connection) -> None:
        """Say, edit or delete a few things in one transaction, which may be given up."""
        after = dict(self.said)
        started = time.perf_counter()
        try:
            for _ in range(self.draw.randrange(1, 4)):
                words = f"{self.knows} {uuid4().hex}"
                if not after or self.draw.random() < 0.5:
                    key, channel = uuid4(), self.draw.choice((ROOM, HALL))
                    for table in self.tables():
                        say = say_first if table == "chat_messages" else say_second
                        say(connection, words, id=key, channel_id=channel)
                    after[key] = words
                    continue
                key = self.draw.choice(list(after))
                is_edit = self.draw.random() < 0.7
                for table in self.tables():
                    said = words if table == "chat_messages" else text(words)
                    statement = f"delete from chat.{table} where id = %(key)s"
                    if is_edit:
                        statement = f"update chat.{table} set content = %(said)s where id = %(key)s"
                    connection.execute(statement.encode(), {"said": said, "key": key})
                del after[key]
                if is_edit:
                    after[key] = words
            if self.draw.random() < 0.1:
                connection.rollback()
                return
            connection.commit()
            self.said = after
        except psycopg.Error as error:
            connection.rollback()
            if error.sqlstate not in IN_THE_WAY:
                raise
            self.refused[error.sqlstate or ""] += 1
        finally:
            self.longest = max(self.longest, time.perf_counter() - started)

    def tables(self) -> list[str]:
        """Tables that it writes to, in any order."""
        known = {"first": ["chat_messages"], "second": ["chat_messages_v2"]}.get(
            self.knows, ["chat_messages", "chat_messages_v2"]
        )
        return self.draw.sample(known, len(known))


def next_command(now: chat_migration.State, draw: Random) -> tuple[str, ...]:
    """Choose what is done next: mostly forward."""
    if now.phase == "idle":
        return ("start",)
    if now.is_being_brought_back or (now.phase == "done" and now.is_backfilled):
        return ("rollback",)
    if now.phase == "done":
        return ("finish",)
    if not now.is_backfilled or not now.is_same:
        return ("backfill",)
    if now.read_share < 1:
        if now.phase == "gradual" and draw.random() < 0.3:
            return ("rollback",)
        return ("switch", draw.choice(("0.5", "1")))
    return draw.choice((("finish",), ("finish",), ("validate",), ("rollback",)))


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stepwise]:
    """What starts commands that stop before a step."""
    with stepwise(tmp_path_factory.mktemp("jobs")) as started:
        yield started


def test_a_killed_migration_goes_on_and_loses_nothing_of_eight_writers(
    server18: TestServer, jobs: Stepwise, connect: Callable[[str], psycopg.Connection]
) -> None:
    """A message lost or doubled by a batch that ran twice, an edit or a deletion that came in between."""
    draw = Random(1)  # noqa: S311  (it must repeat)
    url = server18.database()
    connection = connect(url)
    connection.execute(PEOPLE.encode())
    connection.execute(EARLIER.encode(), (MESSAGES,))
    earlier = dict(rows(connection, "select id, content from chat.chat_messages"))

    def job(command: tuple[str, ...], stop_at: str = "") -> Job:
        return jobs.start(("migrate-chat", *command), url, stop_at)

    writers = [
        Writer(url, knows, Random(number))  # noqa: S311
        for number, knows in enumerate(("first", "second", "both", "first") * 2)
    ]
    is_over = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(is_over,)) for writer in writers]
    known: dict[str, list[str]] = {}
    killed: Counter[str] = Counter()
    try:
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        job(("start",)).end()
        # What was said in sessions before is nobody else's.
        early = set(
            rows(
                connection,
                "select id from chat.chat_messages_v2 as n where not exists (select from"
                " chat.chat_messages as o where o.id = n.id) and not chat.is_first_session(n.session_id)",
            )
        )
        while killed.total() < KILLS:
            command = next_command(chat_migration.status(connection), draw)
            name = " ".join(command)
            # What a step is called, an undisturbed run has told.
            if name not in known or draw.random() < 0.3:
                running = job(command)
                running.end()
                known[name] = [step for step in running.steps if "connect" not in step]
                continue
            running = job(command, draw.choice(known[name]))
            if kill_at_random(running, url, draw):
                killed[command[0]] += 1
        while (now := chat_migration.status(connection)).phase != "done" or not now.is_same:
            command = ("backfill",) if not (now.is_backfilled and now.is_same) else ("switch", "1")
            if now.phase in ("idle", "leaving") or now.is_being_brought_back:
                command = ("start",) if now.phase == "idle" else ("rollback",)
            elif now.phase == "done" or (now.read_share == 1 and command != ("backfill",)):
                command = ("finish",)
            job(command).end()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    print(
        f"killed: {dict(killed)}; writers: {sum(len(w.said) for w in writers)} messages, refused"
        f" {sum((w.refused for w in writers), Counter())}, longest"
        f" {1000 * max(w.longest for w in writers):.0f} ms"
    )
    for writer in writers:
        assert writer.error is None, writer.error

    expected = earlier | {key: said for writer in writers for key, said in writer.said.items()}
    found = rows(connection, "select id, said from chat.messages")
    assert sorted(found) == sorted(expected.items())
    while chat_migration.status(connection).phase != "idle":
        chat_migration.rollback(connection)
        assert sorted(rows(connection, "select id, said from chat.messages")) == sorted(found)
    left = first(connection)
    assert left == {key: said for key, said in expected.items() if key in left or key not in early}
    assert not rows(
        connection, "select id from chat.chat_messages_v2 where chat.is_first_session(session_id)"
    )
