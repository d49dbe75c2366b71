"""Sixteen writers at once on sessions, messages, states and audit rows: nothing is lost or broken.

How long they write is the variable AGENTBOOKS_SECONDS. When a lock is taken away, its fault shows within
a second or two, so that ten are ample.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from raw_rows import ONE, ROWS, TWO, insert

if TYPE_CHECKING:
    from conftest import TestServer

WRITERS = 16
SECONDS = float(os.environ.get("AGENTBOOKS_SECONDS", "10"))
SECONDS_TO_BREAK = 10.0
PATIENCE = 200

# What was done, to which row.
Done = tuple[str, str]
Step = Callable[[psycopg.Connection, str], None]

CONFLICT, DEADLOCK = "AB409", "40P01"


def raise_session(connection: psycopg.Connection, session_id: str) -> None:
    """Read a session, then write it back with its count raised by one."""
    version, count = connection.execute(
        "select version, (metadata ->> 'count')::int from agentic.agent_sessions"
        " where session_id = %s",
        [session_id],
    ).fetchone() or (0, 0)
    connection.execute(
        "update agentic.agent_sessions"
        " set metadata = jsonb_build_object('count', %s::int), version = %s where session_id = %s",
        [count + 1, version + 1, session_id],
    )


def audit(connection: psycopg.Connection, session_id: str) -> None:
    """Add a row to the audit chain of a session."""
    row = {
        "agent_id": ONE,
        "session_id": session_id,
        "action_type": "write",
        "action_details": "{}",
    }
    insert(connection, "agentic.agent_audit_log", row)


def set_state(connection: psycopg.Connection, agent_id: str) -> None:
    """Give an agent its next state."""
    connection.execute("select chat.set_agent_state(%s, '1.0.0', %s)", [agent_id, uuid4().hex])


def restore(connection: psycopg.Connection, agent_id: str) -> None:
    """Return an agent to its checkpoint, and keep another one."""
    connection.execute(
        "select chat.restore_checkpoint(agent_id, id) from chat.state_checkpoints"
        " where agent_id = %s and checkpoint_type = 'milestone'",
        [agent_id],
    )
    connection.execute("select chat.make_checkpoint(%s)", [agent_id])


def say(connection: psycopg.Connection, session_id: str) -> None:
    """Add a message to a session and count its messages."""
    row = ROWS["chat.chat_messages_v2"] | {"id": str(uuid4()), "session_id": session_id}
    insert(connection, "chat.chat_messages_v2", row)
    connection.execute("select chat.record_message_counts(%s::uuid)", [session_id])


def edit(connection: psycopg.Connection, message_id: str) -> None:
    """Say something else in a message."""
    connection.execute(
        "update chat.chat_messages_v2 set content = jsonb_build_object('type', 'text', 'text', %s::text)"
        " where id = %s",
        [uuid4().hex, message_id],
    )


STEPS: dict[str, Step] = {
    "raised": raise_session,
    "audited": audit,
    "set": set_state,
    "restored": restore,
    "said": say,
    "edited": edit,
}

SAME_LOCK = {"restored": "set"}

# What each row shows of what was done to it.
SHOWN = """
select 'raised', session_id::text, (metadata ->> 'count')::int from agentic.agent_sessions
union all
select 'audited', session_id::text, count(*) from agentic.agent_audit_log group by session_id
union all
select 'set', agent_id::text, count(*) from chat.state_transitions
where transition_type = 'update' and changes = '{}'
group by agent_id
union all
select 'restored', c.agent_id::text, c.restoration_count
from chat.state_checkpoints as c
where c.checkpoint_type = 'milestone'
union all
select 'said', session_id::text, count(*) from chat.chat_messages_v2
where id not in (%(one)s, %(two)s)
group by session_id
union all
select 'edited', m.id::text, count(distinct k.text) - 1
from chat.chat_messages_v2 as m
cross join lateral (
    select v.content ->> 'text' as text from chat.message_versions as v where v.message_id = m.id
    union
    select m.content ->> 'text'
) as k
where m.id in (%(one)s, %(two)s)
group by m.id
"""

BROKEN = """
select 'audit row ' || sequence || ' of ' || session_id || ' ' || problem
from agentic.audit_first_broken_link()
union all
select 'audit rows of ' || session_id || ' are numbered to ' || max(sequence) || ' but ' || count(*)
from agentic.agent_audit_log group by session_id having max(sequence) <> count(*)
union all
select 'version of ' || session_id || ' was not raised with it'
from agentic.agent_sessions where version <> (metadata ->> 'count')::int + 1
union all
select 'agent ' || agent_id || ' has ' || count(*) filter (where is_current) || ' current states'
from chat.agent_states group by agent_id having count(*) filter (where is_current) <> 1
union all
select 'state ' || earlier.id || ' does not end where the next one begins'
from chat.state_transitions as t
join chat.agent_states as earlier on earlier.id = t.from_state_id
join chat.agent_states as later on later.id = t.to_state_id
where earlier.valid_until is distinct from later.valid_from
union all
select 'state ' || from_state_id || ' was followed by ' || count(*)
from chat.state_transitions where from_state_id is not null
group by from_state_id having count(*) > 1
union all
select 'session ' || s.id || ' counts ' || s.message_count || ' messages of ' || count(m.id)
from chat.conversation_sessions as s
left join chat.chat_messages_v2 as m on m.session_id = s.id
group by s.id having s.message_count <> count(m.id)
union all
select 'versions of ' || message_id || ' are numbered to ' || max(version_number) || ' but ' || count(*)
from chat.message_versions group by message_id having max(version_number) <> count(*)
"""


@dataclass
class Log:
    """What the writers have done, and what stood in their way."""

    done: Counter[Done] = field(default_factory=Counter)
    conflicts: int = 0
    deadlocks: int = 0
    unhandled: list[str] = field(default_factory=list)


def write(url: str, seed: int, stop: float, in_order: bool, log: Log) -> None:
    """Write transactions of one to three steps until it is time to stop.

    A transaction that lost a conflict or a deadlock is tried again as a whole, as every writer must.
    """
    dice = random.Random(seed)  # noqa: S311
    options = "-c deadlock_timeout=50ms -c role=service_role"
    with psycopg.connect(url, options=options) as connection:
        while time.monotonic() < stop:
            names = dice.choices(list(STEPS), k=dice.choice([1, 1, 2, 3]))
            steps = [(name, dice.choice([ONE, TWO])) for name in names]
            if in_order:
                steps.sort(key=lambda step: (SAME_LOCK.get(step[0], step[0]), step[1]))
            for _ in range(PATIENCE):
                try:
                    with connection.transaction():
                        for name, row_id in steps:
                            STEPS[name](connection, row_id)
                    log.done.update(steps)
                    break
                except psycopg.Error as error:
                    if error.sqlstate == CONFLICT:
                        log.conflicts += 1
                    elif error.sqlstate == DEADLOCK:
                        log.deadlocks += 1
                    else:
                        log.unhandled.append(str(error))
                        break
                    time.sleep(dice.uniform(0, 0.01))
            else:
                log.unhandled.append(f"{steps} did not succeed in {PATIENCE} attempts")


def prepare(url: str) -> None:
    """Make two rows of each kind that the writers write to."""
    with psycopg.connect(url) as connection:
        for table, row in ROWS.items():
            if table in {"chat.users", "agentic.users", "agentic.agents"}:
                insert(connection, table, row)
        for row_id in (ONE, TWO):
            for table, key, changes in [
                ("chat.agents", "id", {}),
                ("chat.conversation_sessions", "id", {"agent_id": row_id}),
                ("chat.chat_messages_v2", "id", {"session_id": row_id}),
                ("agentic.agent_sessions", "session_id", {"metadata": '{"count": 0}'}),
            ]:
                insert(connection, table, ROWS[table] | changes | {key: row_id})
            connection.execute(
                "select chat.set_agent_state(%s, '1.0.0', 'first', p_changes => '[]')", [row_id]
            )
            connection.execute("select chat.make_checkpoint(%s, 'milestone')", [row_id])
        connection.execute("select chat.record_message_counts(%s::uuid, %s::uuid)", [ONE, TWO])


def run(url: str, seconds: float, in_order: bool = False) -> Log:
    """Let all writers write for some seconds."""
    logs = [Log() for _ in range(WRITERS)]
    stop = time.monotonic() + seconds
    threads = [
        threading.Thread(target=write, args=(url, seed, stop, in_order, log))
        for seed, log in enumerate(logs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    whole = Log()
    for log in logs:
        whole.done += log.done
        whole.conflicts += log.conflicts
        whole.deadlocks += log.deadlocks
        whole.unhandled += log.unhandled
    return whole


def faults(url: str, log: Log) -> list[str]:
    """Compare what the database shows with what the writers did, and look for what is broken."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(SHOWN, {"one": ONE, "two": TWO}).fetchall()
        broken = [sentence for (sentence,) in connection.execute(BROKEN).fetchall()]

    shown = {(what, row_id): number for what, row_id, number in rows}
    lost = [
        f"{what} {row_id} {log.done[what, row_id]} times, and {shown.get((what, row_id))} are there"
        for what, row_id in shown.keys() | log.done.keys()
        if shown.get((what, row_id)) != log.done[what, row_id]
    ]
    return lost + broken + log.unhandled


@pytest.mark.parametrize("in_order", [True, False], ids=["in one order", "in any order"])
def test_sixteen_writers_lose_and_break_nothing(server18: TestServer, in_order: bool) -> None:
    """Two writers met on one row, and what one of them wrote was gone."""
    url = server18.database()
    prepare(url)

    log = run(url, SECONDS, in_order)

    figures = f"{log.done.total()} steps, {log.conflicts} conflicts, {log.deadlocks} deadlocks"
    print(f"{SECONDS:g} s: {figures}")
    assert faults(url, log) == [], figures
    assert len(log.done) == len(STEPS) * 2, f"some step was never done: {figures}"
    assert log.conflicts > 0, "the writers must meet"
    if in_order:
        assert log.deadlocks == 0, "what takes its rows in one order must not end in a deadlock"
    else:
        assert log.deadlocks > 0, "the writers must oppose each other's order"


# (what is taken away, how, a word of the fault that must be found then)
LOCKS = [
    (
        "the check of the version",
        "drop trigger agent_sessions_version on agentic.agent_sessions",
        "raised",
    ),
    (
        "the lock on the end of the chain",
        """
        create or replace function agentic.chain_audit_entry() returns trigger
        language plpgsql security definer as $$
        begin
            select coalesce(max(a.sequence), 0) + 1 into new.sequence
            from agentic.agent_audit_log as a where a.session_id = new.session_id;
            new.previous_hash := coalesce((
                select a.row_hash from agentic.agent_audit_log as a
                where a.session_id = new.session_id and a.sequence = new.sequence - 1 limit 1
            ), decode(repeat('00', 32), 'hex'));
            new.salts := '{}';
            new.commitments := agentic.audit_commitments(new);
            new.row_hash := agentic.audit_row_hash(new);
            return new;
        end $$
        """,
        "its place is taken twice",
    ),
    (
        "the lock on the agent",
        """
        do $$ begin execute replace(
            pg_get_functiondef('chat.set_agent_state'::regproc), 'for no key update', ''
        ); end $$
        """,
        "unique_current_state",
    ),
    (
        "the lock on the session",
        """
        do $$ begin execute replace(
            pg_get_functiondef('chat.record_message_counts'::regproc), 'for no key update', ''
        ); end $$
        """,
        "messages of",
    ),
]


@pytest.mark.parametrize(("lock", "break_it", "fault"), LOCKS, ids=[lock for lock, _, _ in LOCKS])
def test_the_fault_is_found_without(
    server18: TestServer, lock: str, break_it: str, fault: str
) -> None:
    """The test above passed because its writers never met."""
    url = server18.database()
    prepare(url)
    with psycopg.connect(url) as connection:
        connection.execute(break_it.encode())

    found: list[str] = []
    log = Log()
    stop = time.monotonic() + SECONDS_TO_BREAK
    while time.monotonic() < stop and not any(fault in sentence for sentence in found):
        log_of_second = run(url, 1)
        log.done += log_of_second.done
        log.unhandled += log_of_second.unhandled
        found = faults(url, log)

    assert any(fault in sentence for sentence in found), (
        f"without {lock}, the writers must run into a fault: found only {found[:5]}"
    )
