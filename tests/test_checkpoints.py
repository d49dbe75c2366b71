"""An agent's state can be copied and returned to, by whoever calls, in an order that everybody sees."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from faults import value
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from raw_rows import ONE, ROWS, TWO, insert

if TYPE_CHECKING:
    from conftest import TestServer

PARTS = ("local_state", "shared_state", "session_state", "persistent_state")
STATES = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["1.0.0", "1.1.0", "2.0.0-rc.1"]),
        "local_state": st.dictionaries(st.text("ab", min_size=1), st.integers(0, 9), max_size=3),
        "shared_state": st.none() | st.just({}) | st.just({"mood": None}),
        "session_state": st.none() | st.just({"turn": 1}),
        "persistent_state": st.just({}) | st.just({"name": {"first": "Ada"}}),
    }
)
CURRENT = """
select to_jsonb(s) from chat.agent_states as s where s.agent_id = %s and s.is_current
"""


def agents(connection: psycopg.Connection) -> None:
    """Make two agents without a state."""
    insert(connection, "chat.users", ROWS["chat.users"])
    for agent in (ONE, TWO):
        insert(connection, "chat.agents", ROWS["chat.agents"] | {"id": agent})


def set_state(connection: psycopg.Connection, agent: str, state: dict[str, Any]) -> str:
    """Give an agent a state."""
    parts = [None if state[part] is None else json.dumps(state[part]) for part in PARTS]
    found = connection.execute(
        "select chat.set_agent_state(%s, %s, %s, %s, %s, %s, %s)",
        (agent, state["version"], state["state_hash"], *parts),
    ).fetchone()
    assert found
    return str(found[0])


def checkpoint(connection: psycopg.Connection, agent: str = ONE, **columns: Any) -> str:
    """Make a checkpoint of an agent's state, and change it."""
    found = connection.execute("select chat.make_checkpoint(%s)", (agent,)).fetchone()
    assert found
    for name, content in columns.items():
        connection.execute(
            f"update chat.state_checkpoints set {name} = %s where id = %s".encode(),
            (content, found[0]),
        )
    return str(found[0])


def restore(connection: psycopg.Connection, agent: str, made: str, **more: Any) -> str:
    """Return an agent to a checkpoint."""
    named = "".join(f", {name} => %s" for name in more)
    found = connection.execute(
        f"select chat.restore_checkpoint(%s, %s{named})".encode(), (agent, made, *more.values())
    ).fetchone()
    assert found
    return str(found[0])


def state(number: int = 1) -> dict[str, Any]:
    """Give a state of its own."""
    parts = {part: {"number": number} for part in PARTS}
    return parts | {"version": f"{number}.0.0", "state_hash": f"hash {number}"}


def test_a_state_is_returned_to_as_a_new_version(transaction: psycopg.Connection) -> None:
    """A restore that reopens the old row, leaves two current ones, or is not told as one."""
    agents(transaction)
    first = set_state(transaction, ONE, state(1))
    made = checkpoint(transaction)
    second = set_state(transaction, ONE, state(2))
    third = restore(transaction, ONE, made, p_trigger="error", p_reason="it looped")
    rows = transaction.execute(
        "select id::text, is_current, state_hash, local_state ->> 'number' from chat.agent_states"
        " where agent_id = %s order by valid_from",
        (ONE,),
    ).fetchall()
    assert rows == [
        (first, False, "hash 1", "1"),
        (second, False, "hash 2", "2"),
        (third, True, "hash 1", "1"),
    ]
    told = transaction.execute(
        "select from_state_id::text, to_state_id::text, trigger, changes from chat.state_transitions"
        " where transition_type = 'restore'"
    ).fetchall()
    assert told == [(second, third, "error", {"checkpoint_id": made, "reason": "it looped"})]
    counted = transaction.execute(
        "select restoration_count, restoration_time_ms >= 0, size_bytes > 0 from chat.state_checkpoints"
    ).fetchall()
    assert counted == [(1, True, True)]


NOWHERE = str(uuid4())
REFUSED = {
    "of another agent": ({}, TWO, "22023"),
    "expired at": ({"created_at": "2020-01-01", "expires_at": "2020-01-02"}, ONE, "55000"),
    r"is compressed \(gzip\)": ({"state_data": '"H4sI"', "compression_type": "gzip"}, ONE, "0A000"),
    r"is compressed \(unknown\)": ({"state_data": '"H4sI"'}, ONE, "0A000"),
    r"is compressed \(zstd\)": ({"compression_type": "zstd"}, ONE, "0A000"),
    "none of the four parts": ({"state_data": "{}"}, ONE, "22023"),
    "no state_hash": ({"state_data": '{"local_state": {"number": 7}}'}, ONE, "22023"),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_returned_to_is_refused(
    transaction: psycopg.Connection, sentence: str
) -> None:
    """A restore that writes half a state, or another agent's."""
    columns, agent, sqlstate = REFUSED[sentence]
    agents(transaction)
    for of in (ONE, TWO):
        set_state(transaction, of, state(1))
    made = checkpoint(transaction, **columns)
    before = value(transaction, "select count(*) from chat.agent_states")
    with pytest.raises(psycopg.Error, match=sentence) as refusal, transaction.transaction():
        restore(transaction, agent, made)
    assert refusal.value.sqlstate == sqlstate
    assert value(transaction, "select count(*) from chat.agent_states") == before
    with pytest.raises(psycopg.errors.NoDataFound), transaction.transaction():
        restore(transaction, ONE, NOWHERE)
    with pytest.raises(psycopg.errors.NoDataFound), transaction.transaction():
        checkpoint(transaction, NOWHERE)


def test_an_applications_own_copy_is_read_as_far_as_it_goes(
    transaction: psycopg.Connection,
) -> None:
    """Copies from before the function was there are of no use."""
    agents(transaction)
    set_state(transaction, ONE, state(1))
    same = checkpoint(transaction, state_data='{"local_state": {"number": 1}}')
    other = checkpoint(transaction, state_data='{"local_state": {}, "state_hash": "mine"}')
    set_state(transaction, ONE, state(2))
    for made, local, its_hash in ((same, {"number": 1}, "hash 1"), (other, {}, "mine")):
        restore(transaction, ONE, made)
        (found,) = transaction.execute(CURRENT, (ONE,)).fetchone() or ({},)
        assert (found["local_state"], found["state_hash"]) == (local, its_hash)
        assert found["persistent_state"] == {"number": 1}


def test_who_has_read_another_state_is_refused(transaction: psycopg.Connection) -> None:
    """A caller who overwrites or copies what it has not read."""
    agents(transaction)
    first = set_state(transaction, ONE, state(1))
    made = checkpoint(transaction)
    set_state(transaction, ONE, state(2))
    for call in (
        f"chat.restore_checkpoint('{ONE}', '{made}', p_expected_state_id => '{first}')",
        f"chat.make_checkpoint('{ONE}', p_expected_state_id => '{first}')",
    ):
        with pytest.raises(psycopg.Error) as refusal, transaction.transaction():
            transaction.execute(f"select {call}".encode())
        assert refusal.value.sqlstate == "AB409"


class States(RuleBasedStateMachine):
    """Sets, copies and restores by several callers at once, against a model of what they come to."""

    server: TestServer

    @initialize()
    def begin(self) -> None:
        """Begin with two agents without states."""
        self.url = self.server.database()
        self.connection = psycopg.connect(self.url, autocommit=True)
        agents(self.connection)
        self.current: dict[str, dict[str, Any]] = {}
        self.copies: dict[str, tuple[str, dict[str, Any]]] = {}
        self.versions = {ONE: 0, TWO: 0}

    @rule(agent=st.sampled_from([ONE, TWO]), content=STATES)
    def set(self, agent: str, content: dict[str, Any]) -> None:
        """Set a state."""
        self.current[agent] = content | {"state_hash": uuid4().hex}
        set_state(self.connection, agent, self.current[agent])
        self.versions[agent] += 1

    @rule(agent=st.sampled_from([ONE, TWO]))
    def copy(self, agent: str) -> None:
        """Make a checkpoint."""
        if agent in self.current:
            self.copies[checkpoint(self.connection, agent)] = (agent, self.current[agent])

    @rule(choice=st.integers(0, 99), callers=st.integers(1, 4), setters=st.integers(0, 2))
    def restore(self, choice: int, callers: int, setters: int) -> None:
        """Restore a checkpoint from several sessions at once, beside others that set states."""
        if not self.copies:
            return
        made = sorted(self.copies)[choice % len(self.copies)]
        agent, content = self.copies[made]
        others = [content | {"state_hash": uuid4().hex} for _ in range(setters)]

        def call(other: dict[str, Any] | None) -> str:
            with psycopg.connect(self.url, autocommit=True) as session:
                if other is None:
                    return restore(session, agent, made)
                return set_state(session, agent, other)

        with ThreadPoolExecutor(callers + setters) as pool:
            ids = list(pool.map(call, [None] * callers + others))
        assert len(set(ids)) == callers + setters, "two callers got one version"
        self.versions[agent] += callers + setters
        found = self.now(agent)
        assert found in [content, *others]
        self.current[agent] = found

    def now(self, agent: str) -> dict[str, Any]:
        """Read the current state."""
        (found,) = self.connection.execute(CURRENT, (agent,)).fetchone() or ({},)
        return {name: found[name] for name in ("version", "state_hash", *PARTS)}

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        """One current state, all versions kept, each beginning where the one before ends."""
        for agent, content in getattr(self, "current", {}).items():
            assert self.now(agent) == content
            count, open_ones, gaps = self.connection.execute(
                "select count(*), count(*) filter (where is_current), count(*) filter (where gap) from ("
                " select is_current, valid_from is distinct from lag(valid_until) over w"
                " and row_number() over w > 1 as gap from chat.agent_states where agent_id = %s"
                " window w as (order by valid_from, valid_until)) as s",
                (agent,),
            ).fetchone() or (0, 0, 0)
            assert (count, open_ones, gaps) == (self.versions[agent], 1, 0)

    def teardown(self) -> None:
        """Close the session."""
        if hasattr(self, "connection"):
            self.connection.close()


def test_states_under_several_callers(server18: TestServer) -> None:
    """Two restores at once of which one is lost, or that leave two current states."""
    States.server = server18
    States.TestCase.settings = settings(
        max_examples=8, stateful_step_count=12, deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    machine = States.TestCase()
    machine.runTest()
