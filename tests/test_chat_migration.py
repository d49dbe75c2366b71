"""Messages move from their first table to their second while applications write to either or both.

`AGENTBOOKS_SEQUENCES` sets how many random sequences of writes and phases are tried: 12 unless it says
otherwise.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.types.json import Jsonb

from orchestration import chat_migration, cli, database, erasure
from orchestration.chat_migration import State, backfill, finish, rollback, start, status, switch
from orchestration.cold_archive import Archive
from orchestration.errors import AgentbooksError
from orchestration.simulated_traffic import simulate_traffic, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from refreshing import Refresher

SEQUENCES = int(os.environ.get("AGENTBOOKS_SEQUENCES", "12"))
ANN, BOB = UUID(int=1), UUID(int=2)
AGENT = UUID(int=3)
ROOM, HALL = UUID(int=4), UUID(int=5)
SESSION = UUID(int=6)
TIMES = ("2019-12-31 23:30+00", "2026-01-15 12:00+00", "2026-02-01 00:00+00")

PEOPLE = f"""
insert into chat.users (id, username) values ('{ANN}', 'ann'), ('{BOB}', 'bob');
insert into chat.agents (id, user_id, name, description) values ('{AGENT}', '{ANN}', 'Helper', '');
insert into chat.workspaces (id, name, owner_user_id) values ('{ROOM}', 'Team', '{ANN}');
insert into chat.workspace_members (workspace_id, user_id) values ('{ROOM}', '{BOB}');
insert into chat.chat_channels (id, workspace_id, name)
values ('{ROOM}', '{ROOM}', 'room'), ('{HALL}', '{ROOM}', 'hall');
insert into chat.conversation_sessions (id, conversation_id, user_id)
values ('{SESSION}', '{SESSION}', '{ANN}');
"""


@pytest.fixture
def chat(raw: psycopg.Connection) -> psycopg.Connection:
    """A database with two users, their agent, two channels and a session of Ann's."""
    raw.execute(PEOPLE.encode())
    return raw


def say_first(connection: psycopg.Connection, said: str, **columns: Any) -> UUID:
    """Write a message to the first table; return its id."""
    row = {"id": uuid4(), "channel_id": ROOM, "sender_user_id": ANN, "content": said} | columns
    _insert(connection, "chat.chat_messages", row)
    return row["id"]  # type: ignore[no-any-return]


def say_second(connection: psycopg.Connection, said: str, **columns: Any) -> UUID:
    """Write a message to the second table; return its id."""
    row = {
        "id": uuid4(),
        "session_id": SESSION,
        "conversation_id": SESSION,
        "channel_id": ROOM,
        "sender_user_id": ANN,
        "role": "user",
        "content": text(said),
    } | columns
    _insert(connection, "chat.chat_messages_v2", row)
    return row["id"]  # type: ignore[return-value]


def text(said: str) -> Jsonb:
    """Write content as the second table has it."""
    return Jsonb({"type": "text", "text": said})


def _insert(connection: psycopg.Connection, table: str, row: dict[str, Any]) -> None:
    connection.execute(
        f"insert into {table} ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})".encode(),
        list(row.values()),
    )


def rows(connection: psycopg.Connection, query: str, *parameters: Any) -> list[Any]:
    """Read all rows; of a single column its values."""
    found = connection.execute(query.encode(), parameters or None).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def first(connection: psycopg.Connection) -> dict[UUID, str]:
    """Read what the first table says."""
    return dict(rows(connection, "select id, content from chat.chat_messages"))


def second(connection: psycopg.Connection) -> dict[UUID, str]:
    """Read what the second table says."""
    return dict(rows(connection, "select id, chat.text_of(content) from chat.chat_messages_v2"))


def gradual(connection: psycopg.Connection, share: float = 1) -> State:
    """Go on to the second phase."""
    start(connection)
    backfill(connection)
    return switch(connection, share)


@dataclass
class Message:
    """What a message must say, by table: null where it is not. Copies of the first table are not told."""

    first: str | None
    second: str | None
    is_in_channel: bool = True
    is_to_come_back: bool = False


class Writers(RuleBasedStateMachine):
    """Applications that know one table, or both, while the phase changes to and fro."""

    connection: psycopg.Connection

    def __init__(self) -> None:
        """Begin with nobody's messages."""
        super().__init__()
        self.messages: dict[UUID, Message] = {}
        self.said = 0

    @initialize()
    def begin(self) -> None:
        """Have people, and nothing said."""
        while self.phase != "idle":
            rollback(self.connection)
        self.connection.execute(
            "delete from chat.users; delete from chat.conversation_sessions;"
            "delete from chat.chat_messages_v2"
        )
        self.connection.execute(PEOPLE.encode())

    def teardown(self) -> None:
        """Go back to where nothing was begun, which loses nothing."""
        while self.phase != "idle":
            self.step_back()
            self.says_all_once()
        assert set(second(self.connection)) == self.expected("second").keys()

    @property
    def phase(self) -> str:
        """The phase."""
        return status(self.connection).phase

    @property
    def is_followed(self) -> bool:
        """Whether what is written to one is written to the other."""
        return self.phase in ("parallel", "gradual")

    def expected(self, table: str) -> dict[UUID, str]:
        """What was written to a table by those who know it."""
        return {
            key: said
            for key, message in self.messages.items()
            if (said := getattr(message, table)) is not None
        }

    def words(self) -> str:
        """Words that nobody has said."""
        self.said += 1
        return f"words {self.said}"

    def key(self) -> UUID:
        """An id that nobody has: the next one, as an example must repeat."""
        return UUID(int=1000 + self.said)

    @invariant()
    def says_all_once(self) -> None:
        """Whatever is read from whichever table: every message is there, and once."""
        found = rows(self.connection, "select id, said from chat.messages")
        assert sorted(found) == sorted((self.expected("second") | self.expected("first")).items())
        assert first(self.connection) == self.expected("first")
        native = rows(
            self.connection,
            "select id, chat.text_of(content) from chat.chat_messages_v2"
            " where not chat.is_first_session(session_id)",
        )
        assert sorted(native) == sorted(self.expected("second").items())

    @invariant()
    def stays_the_same_once_it_is(self) -> None:
        """After the backfill no write leaves one behind the other."""
        now = status(self.connection)
        if now.is_backfilled and now.phase != "leaving":
            assert now.is_same, now.findings

    @rule(
        channel=st.sampled_from([ROOM, HALL, None]),
        speaker=st.sampled_from(["ann", "bob", "agent", "both"]),
        metadata=st.sampled_from(
            [None, {}, {"tokens": 7}, {"tokens": {"total": 7}}, {"tokens": "x"}]
        ),
        at=st.sampled_from(TIMES),
    )
    def write_first(self, channel: UUID | None, speaker: str, metadata: Any, at: str) -> None:
        """An application that knows the first table says something."""
        words = self.words()
        columns = {
            "id": self.key(),
            "channel_id": channel,
            "sender_user_id": {"ann": ANN, "bob": BOB, "both": ANN}.get(speaker),
            "sender_agent_id": AGENT if speaker in ("agent", "both") else None,
            "metadata": metadata if metadata is None else Jsonb(metadata),
            "created_at": at,
        }
        with self.unless_closed() as is_open:
            key = say_first(self.connection, words, **columns)
        if is_open():
            self.messages[key] = Message(words, None)

    @rule(
        channel=st.sampled_from([ROOM, HALL, None]),
        speaker=st.sampled_from([ANN, None]),
        at=st.sampled_from(TIMES),
    )
    def write_second(self, channel: UUID | None, speaker: UUID | None, at: str) -> None:
        """An application that knows the second table says something, perhaps in nobody's name."""
        words = self.words()
        role = "user" if speaker else "system"
        columns = {"channel_id": channel, "sender_user_id": speaker, "role": role, "created_at": at}
        key = say_second(self.connection, words, id=self.key(), **columns)
        is_for_first = channel is not None and speaker is not None
        followed = words if is_for_first and self.is_followed else None
        self.messages[key] = Message(
            followed, words, is_for_first, is_for_first and self.phase == "done"
        )

    @precondition(lambda self: self.is_followed)
    @rule(is_first=st.booleans(), times=st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES)))
    def write_both(self, is_first: bool, times: tuple[str, str]) -> None:
        """An application that knows both writes them under one id, in either order, perhaps later."""
        words, key = self.words(), self.key()
        for table in (1, 2) if is_first else (2, 1):
            if table == 1:
                say_first(self.connection, f"{words}, in short", id=key, created_at=times[0])
            else:
                say_second(self.connection, words, id=key, created_at=times[1])
        self.messages[key] = Message(words, words)

    @precondition(lambda self: self.expected("first"))
    @rule(
        data=st.data(),
        what=st.sampled_from(["content", "sender_user_id", "channel_id", "created_at", "both"]),
    )
    def edit_first(self, data: st.DataObject, what: str) -> None:
        """An application that knows the first table edits one of its messages."""
        key = data.draw(st.sampled_from(sorted(self.expected("first"))))
        message = self.messages[key]
        words = self.words()
        # Where they are apart, only words can be told apart; and no message of a session has two speakers.
        if message.second is not None and (not self.is_followed or what == "both"):
            what = "content"
        value: Any = {"content": words, "channel_id": HALL, "created_at": TIMES[2]}.get(what, BOB)
        more = {
            "both": f", sender_agent_id = '{AGENT}'",
            "sender_user_id": ", sender_agent_id = null",
        }
        column = "sender_user_id" if what == "both" else what
        with self.unless_closed() as is_open:
            self.connection.execute(
                f"update chat.chat_messages set {column} = %s{more.get(what, '')} where id = %s".encode(),
                (value, key),
            )
        if is_open():
            message.first = words if what == "content" else message.first
            if self.is_followed and message.second is not None:
                message.second = message.first

    @precondition(lambda self: second(self.connection))
    @rule(data=st.data(), is_structured=st.booleans())
    def edit_second(self, data: st.DataObject, is_structured: bool) -> None:
        """An application that knows the second table edits one of its messages, or a copy."""
        key = self.one_of_second(data)
        if key is None:
            return
        words = self.words()
        content = (
            Jsonb({"type": "structured", "structured": words}) if is_structured else text(words)
        )
        self.connection.execute(
            "update chat.chat_messages_v2 set content = %s where id = %s", (content, key)
        )
        words = second(self.connection)[key]
        message = self.messages[key]
        if message.second is not None:
            message.second = words
        if self.phase not in ("idle", "leaving") and message.first is not None:
            message.first = words
        if message.second is not None and self.phase == "done":
            message.is_to_come_back |= message.is_in_channel

    @precondition(lambda self: self.expected("first"))
    @rule(data=st.data())
    def delete_first(self, data: st.DataObject) -> None:
        """An application that knows the first table deletes one of its messages."""
        key = data.draw(st.sampled_from(sorted(self.expected("first"))))
        with self.unless_closed() as is_open:
            self.connection.execute("delete from chat.chat_messages where id = %s", (key,))
        if is_open():
            if self.is_followed or self.messages[key].second is None:
                del self.messages[key]
            else:
                self.messages[key].first = None

    @precondition(lambda self: second(self.connection))
    @rule(data=st.data())
    def delete_second(self, data: st.DataObject) -> None:
        """An application that knows the second table deletes one of its messages, or a copy."""
        key = self.one_of_second(data)
        if key is None:
            return
        self.connection.execute("delete from chat.chat_messages_v2 where id = %s", (key,))
        if self.phase in ("idle", "leaving") and self.messages[key].first is not None:
            self.messages[key].second = None
        else:
            del self.messages[key]

    def one_of_second(self, data: st.DataObject) -> UUID | None:
        """Choose a message of the second table; copies that are being dropped are nobody's."""
        there = second(self.connection)
        if self.phase == "leaving":
            there = self.expected("second")
        return data.draw(st.sampled_from(sorted(there))) if there else None

    @contextmanager
    def unless_closed(self) -> Iterator[Any]:
        """Have a write to the first table refused once that is closed, and then alone."""
        is_closed = self.phase == "done"
        if is_closed:
            with pytest.raises(psycopg.Error) as refusal:
                yield lambda: False
            assert refusal.value.sqlstate == "AB410"
        else:
            yield lambda: True

    @rule(share=st.sampled_from([0.4, 1]), how_far=st.sampled_from(["a step", "a block", "all"]))
    def step_on(self, share: float, how_far: str) -> None:
        """The migration goes on, perhaps not to the end of its phase."""
        now = status(self.connection)
        if now.phase == "idle":
            start(self.connection)
        elif now.phase == "leaving" or now.is_being_brought_back:
            self.step_back()
        elif how_far == "a block":
            self.connection.execute(
                "select chat.copy_blocks(b) from chat.next_blocks(1) as b where b is not null"
            )
        elif not (now.is_backfilled and now.is_same):
            backfill(self.connection)
        elif now.phase in ("parallel", "gradual") and now.read_share < share:
            switch(self.connection, share)
        elif now.phase == "gradual" and now.read_share == 1:
            finish(self.connection, leave_refused=True)
        self.settle()

    @rule(is_killed=st.booleans())
    def step_back(self, is_killed: bool = False) -> None:
        """The migration goes a phase back, or is killed on its way there."""
        now = status(self.connection)
        if is_killed and now.phase == "parallel":
            self.connection.execute("select chat.leave_parallel(), chat.drop_copies(1)")
        elif is_killed and now.phase == "done":
            self.connection.execute("select chat.reopen_first()")
        elif now.phase != "idle":
            rollback(self.connection)
        self.settle()

    def settle(self) -> None:
        """Take into account what the migration does itself."""
        now = status(self.connection)
        there = first(self.connection)
        for key, message in self.messages.items():
            if message.is_to_come_back and key in there:
                message.first, message.is_to_come_back = message.second, False
            if now.is_backfilled and now.phase == "parallel" and message.second is not None:
                message.second = message.first if message.first is not None else message.second


def test_no_order_of_writes_and_phases_loses_or_doubles_a_message(raw: psycopg.Connection) -> None:
    """A write that one table never hears of, or a phase that forgets, doubles or revives messages."""
    Writers.connection = raw
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Writers,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_a_whole_migration_by_its_commands(
    chat: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A phase that can be skipped, a refusal nobody hears of, a way back that is none."""
    monkeypatch.setenv(database.URL_VARIABLE, chat.info.dsn)

    def run(*command: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["agentbooks", "migrate-chat", *command])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, told.out + told.err

    say_first(chat, "hello")
    refused = say_first(chat, "for Ann", sender_agent_id=AGENT)
    assert "Next: `agentbooks migrate-chat start`" in run("status")[1]
    for command, held_by in {
        "backfill": "nothing has begun",
        "validate": "in phase idle",
        "finish": "in phase idle",
        "rollback": "nothing has begun",
    }.items():
        code, told = run(command)
        assert (code, held_by in told, told.count("\n")) == (1, True, 1), told
    assert run("start")[0] == 0
    assert "not been found the same" in run("switch", "0.5")[1]
    assert "1 messages copied" in run("backfill")[1]
    code, told = run("validate")
    assert (code, "refused: 1\n    a user and an agent send it: 1" in told) == (0, True), told
    assert run("switch", "0.5")[0] == 0
    assert "0.5 of the conversations are read from it" in run("finish")[1]
    assert run("switch", "1")[0] == 0
    code, told = run("finish")
    assert (code, "--leave-refused" in told) == (1, True)
    chat.execute("update chat.chat_messages set sender_agent_id = null where id = %s", (refused,))
    assert run("finish") == (
        0,
        "Next: none; retention takes the rows of chat_messages by their age.\n",
    )
    assert "3 of 3" in run("status")[1]
    for phase in ("2 of 3", "1 of 3", "not begun"):
        code, told = run("rollback")
        assert (code, phase in told) == (0, True), told


def test_what_differs_is_found_told_and_mended(chat: psycopg.Connection) -> None:
    """A comparison of counts alone, which two wrong rows pass."""
    one, two, three = (say_first(chat, said) for said in ("one", "two", "three"))
    start(chat)
    backfill(chat)
    with chat.transaction():  # past the triggers, as a restore would write
        chat.execute("set local session_replication_role = replica")
        chat.execute("update chat.chat_messages set content = 'other' where id = %s", (one,))
        chat.execute("delete from chat.chat_messages where id = %s", (two,))
        chat.execute(
            "update chat.chat_messages_v2 set metadata = '{\"tokens\": 1}' where id = %s", (three,)
        )
        four = say_first(chat, "four")
    found = chat_migration.validate(chat)
    assert {name: found.findings[name] for name in ("waiting", "different", "orphans")} == {
        "waiting": 1,
        "different": 2,
        "orphans": 1,
    }
    assert len(set(found.findings["checksums"])) == 2
    with pytest.raises(AgentbooksError, match="not been found the same"):
        switch(chat, 1)
    backfill(chat)
    assert chat_migration.validate(chat).is_same
    assert second(chat) == {one: "other", three: "three", four: "four"}


def test_a_message_that_comes_between_is_copied_in_the_end(chat: psycopg.Connection) -> None:
    """A key to a session that nobody has made, which ends the copying of its blocks."""
    say_first(chat, "one")
    start(chat)
    (blocks,) = rows(chat, "select chat.next_blocks()")
    with chat.transaction():  # past the triggers, as when a lock keeps a writer from following
        chat.execute("set local session_replication_role = replica")
        say_first(chat, "two", sender_user_id=BOB)
    assert rows(chat, "select chat.copy_blocks(%s)", blocks) == [0]
    assert rows(chat, "select chat.next_blocks()") == [None]
    assert backfill(chat) == 2
    assert sorted(second(chat).values()) == ["one", "two"]


def test_an_embedding_and_all_columns_are_carried(chat: psycopg.Connection) -> None:
    """A copy that a search by meaning no longer finds, or whose tokens are lost."""
    embedding = "[" + ",".join(["0.5"] * 1536) + "]"
    tokens = {"tokens": {"prompt": 3, "completion": 4}, "model": "m"}
    columns = {"sender_user_id": None, "sender_agent_id": AGENT, "created_at": TIMES[0]}
    early = say_first(chat, "early", embedding=embedding, metadata=Jsonb(tokens), **columns)
    start(chat)
    late = say_first(chat, "late", embedding=embedding, metadata=Jsonb({"tokens": 7}), **columns)
    backfill(chat)
    copies = rows(
        chat,
        "select id, metadata, role, conversation_id, embedding::text, created_at, version"
        " from chat.chat_messages_v2 order by chat.text_of(content)",
    )
    at = rows(chat, "select %s::timestamptz", TIMES[0])[0]
    assert copies == [
        (early, tokens, "assistant", ROOM, embedding, at, "1.0.0"),
        (late, {"tokens": 7}, "assistant", ROOM, embedding, at, "1.0.0"),
    ]
    assert rows(chat, "select count(*) from chat.chat_messages_v2_default") == [0]
    assert rows(chat, "select count(*) from chat.chat_messages_v2_y2019m12") == [2]
    assert rows(
        chat,
        "select message_count, total_tokens_used, status from chat.conversation_sessions"
        " where agent_id is not null",
    ) == [(2, 14, "completed")]
    assert rows(chat, "select distinct old_id = new_id, is_copy from chat.message_id_map") == [
        (True, True)
    ]


def test_nobody_goes_on_in_a_made_up_session(chat: psycopg.Connection) -> None:
    """A message that is written for the first time, and that no model counts."""
    key = say_first(chat, "hello")
    start(chat)
    backfill(chat)
    (session,) = rows(chat, "select session_id from chat.chat_messages_v2 where id = %s", key)
    with pytest.raises(psycopg.Error, match="has ended") as refusal:
        say_second(chat, "and?", session_id=session, conversation_id=ROOM)
    assert refusal.value.sqlstate == "AB410"


def test_members_of_a_channel_read_the_same_from_both(chat: psycopg.Connection) -> None:
    """Messages of others that vanish for a user when reads are switched; or a stranger who sees them."""
    carol = uuid4()
    chat.execute("insert into chat.users (id, username) values (%s, 'carol')", (carol,))
    said = {say_first(chat, "by Ann"), say_first(chat, "by Bob", sender_user_id=BOB)}
    alone = say_first(chat, "to herself", channel_id=None)
    own = say_second(chat, "in her session", channel_id=None)

    def seen(user: UUID, table: str = "messages") -> set[UUID]:
        with chat.transaction(force_rollback=True):
            chat.execute("set local role authenticated")
            chat.execute("select set_config('app.user_id', %s, true)", (str(user),))
            return set(rows(chat, f"select id from chat.{table}"))

    before = {user: seen(user) for user in (ANN, BOB, carol)}
    assert before == {ANN: said | {own}, BOB: said, carol: set()}
    start(chat)
    backfill(chat)
    for share in (0.3, 0.7, 1):
        switch(chat, share)
        now = {user: seen(user) for user in (ANN, BOB, carol)}
        # Her own words outside of channels are in a session of hers, and she sees them.
        assert now in (before, before | {ANN: said | {own, alone}})
    assert seen(BOB, "chat_messages_v2") == said
    assert seen(carol, "chat_messages_v2") == set()


def test_taking_the_id_of_somebody_elses_message_touches_nothing(chat: psycopg.Connection) -> None:
    """A user who edits or deletes what others said, through the table that follows."""
    key = say_first(chat, "by Bob", sender_user_id=BOB)
    gradual(chat)
    say_second(chat, "by Ann", id=key)
    chat.execute(
        "update chat.chat_messages_v2 set content = %s where id = %s and sender_user_id = %s",
        (text("by Ann, again"), key, ANN),
    )
    assert first(chat) == {key: "by Bob"}
    chat.execute(
        "delete from chat.chat_messages_v2 where id = %s and sender_user_id = %s", (key, ANN)
    )
    assert (first(chat), second(chat)) == ({key: "by Bob"}, {key: "by Bob"})


def test_deleting_a_channel_takes_what_was_said_in_it_and_no_message_of_a_session(
    chat: psycopg.Connection,
) -> None:
    """A run that loses its messages, as their copies in the first table go with the channel."""
    key = say_first(chat, "in the room")
    start(chat)
    own = say_second(chat, "in a session")
    backfill(chat)
    assert set(first(chat)) == {key, own}
    chat.execute("delete from chat.chat_channels where id = %s", (ROOM,))
    assert first(chat) == {}
    assert second(chat) == {own: "in a session"}


def test_retention_goes_to_each_table_itself(chat: psycopg.Connection) -> None:
    """A row that moves to the archive, and takes its copy out of the database."""
    key = say_first(chat, "hello", created_at=TIMES[1])
    start(chat)
    backfill(chat)
    due = Jsonb({"clock": "created_at", "before": "2026-03-01"})
    chat.execute("select ops.strip_payloads('chat.chat_messages', 'content', %s)", (due,))
    chat.execute("select ops.strip_payloads('chat.chat_messages_v2', 'content(type)', %s)", (due,))
    assert (first(chat), second(chat)) == ({key: "[removed]"}, {key: "[removed]"})
    assert status(chat).is_same
    chat.execute("select ops.archive_month('chat.chat_messages_v2', '2026-01-01')")
    assert status(chat).is_same
    backfill(chat)
    assert second(chat) == {}, "a copy is in the archive, and another one in the table"
    chat.execute("select ops.archive_rows('chat.chat_messages', %s)", (due,))
    assert status(chat).is_same
    chat.execute("select ops.unarchive_rows('chat.chat_messages', %s)", (due,))
    chat.execute("delete from chat.chat_messages")
    assert rows(chat, "select id from history.chat__chat_messages_v2") == []


def test_who_speaks_again_after_the_session_was_archived_is_copied(
    chat: psycopg.Connection,
) -> None:
    """A first message after months of silence that the archive's session keeps from the second table."""
    start(chat)
    key = say_first(chat, "long ago", created_at=TIMES[0])
    chat.execute("delete from chat.chat_messages where id = %s", (key,))
    due = Jsonb({"clock": "last_active", "before": "2026-01-01"})
    assert rows(chat, "select ops.archive_rows('chat.conversation_sessions', %s)", due) == [1]
    say_first(chat, "again")
    assert list(second(chat).values()) == ["again"]
    assert rows(chat, "select count(*) from history.chat__conversation_sessions") == [2]


def test_a_person_is_erased_from_both(chat: psycopg.Connection, tmp_path: Path) -> None:
    """Words of somebody who was forgotten, in the table that nobody looked at."""
    say_first(chat, "I am Ann", metadata=Jsonb({"model": "m", "note": "Ann"}))
    start(chat)
    backfill(chat)
    erasure.erase(chat, Archive(str(tmp_path)), [str(ANN)])
    assert list(first(chat).values()) == list(second(chat).values()) == ["[removed]"]
    assert status(chat).is_same


def test_no_phase_changes_a_mart(
    empty_marts: Callable[[], Refresher], connect: Callable[[str], psycopg.Connection]
) -> None:
    """A message counted twice while both tables have it, or a mart that moves as messages do."""
    refresher = empty_marts()
    connection = connect(refresher.url)
    for _, writes in simulate_traffic(6, 3, 1, date(2026, 5, 4)).batches():
        write(connection, writes)
    connection.execute(PEOPLE.encode())
    connection.execute(f"update chat.conversation_sessions set started_at = '{TIMES[1]}'".encode())
    for at in TIMES[1:]:
        say_first(
            connection,
            "an answer",
            sender_user_id=None,
            sender_agent_id=AGENT,
            created_at=at,
            metadata=Jsonb({"tokens": 1000, "model": "gpt-4o"}),
        )

    def marts() -> Any:
        refresher.refresh(connection)
        return refresher.rows(connection)

    before = marts()
    start(connection)
    assert marts() == before
    backfill(connection)
    assert rows(connection, "select count(*) > 2 from chat.message_id_map where is_copy") == [True]
    assert marts() == before
    switch(connection, 0.5)
    connection.execute("update chat.chat_messages set content = content || ', edited'")
    switch(connection, 1)
    assert marts() == before
    finish(connection)
    assert marts() == before
    assert refresher.differences(connection) == []
    # What is said in a session counts, whatever the phase.
    say_second(connection, "counts", created_at=TIMES[1])
    after = marts()
    assert after != before
    while status(connection).phase != "idle":
        rollback(connection)
        assert marts() == after
    assert refresher.differences(connection) == []
