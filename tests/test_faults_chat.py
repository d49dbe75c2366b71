"""Faults of the original definition of the chat system: each is shown first, then looked for here."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from faults import (
    accepted,
    needless_indexes,
    refused,
    refused_by_rule,
    run,
    unindexed_keys,
    value,
)
from raw_rows import EARLIER, EVENT, NOBODY, ONE, ROWS, TWO, insert

if TYPE_CHECKING:
    import psycopg

TABLES_OF_AN_AGENT = (
    "agents",
    "agent_datastores",
    "agent_memories",
    "agent_states",
    "context_snapshots",
    "conversation_sessions",
    "memory_consolidations",
    "message_versions",
    "state_checkpoints",
    "state_transitions",
)
SECOND_AGENT = f"""
insert into chat.agents (id, user_id, name, description) values ('{TWO}', '{ONE}', 'Other', '');
insert into chat.agent_states (id, agent_id, version, state_hash)
values ('{TWO}', '{TWO}', '1.0.0', '0b');
"""


@pytest.fixture
def chat(database: psycopg.Connection) -> psycopg.Connection:
    """The file's database with one row in each table of the chat system."""
    for table, row in ROWS.items():
        if table.startswith("chat."):
            insert(database, table, row)
    return database


def test_an_agent_has_one_current_state_and_many_past_ones(chat: psycopg.Connection) -> None:
    """The tables of states cannot be made: no unique constraint of a table takes a condition."""
    refused(
        chat,
        "create table original.states (agent_id uuid, is_current boolean,"
        " unique (agent_id, is_current) where is_current)",
        "42601",
    )
    state = "insert into chat.agent_states (agent_id, version, state_hash, valid_until, is_current)"
    refused(
        chat,
        f"{state} values ('{ONE}', '1.0.1', '0b', null, true)",
        "23505",
        "unique_current_state",
    )
    past = f"('{ONE}', '1.0.1', '0b', now(), false)"
    accepted(chat, f"{state} values {past}, {past}")


def test_ids_and_embeddings_need_nothing_on_the_search_path(chat: psycopg.Connection) -> None:
    """No table can be made: the function for ids and the type for embeddings are unknown."""
    run(chat, "set local search_path = original")
    refused(chat, "create table messages (id uuid default uuid_generate_v4())", "42883")
    refused(chat, "create table memories (embeddings vector(1536))", "42704")

    run(chat, "update chat.agent_memories set embeddings = array_fill(1, '{1536}')::public.vector")
    found = value(
        chat,
        f"select memory_id::text from chat.find_similar_memories('{ONE}',"
        " array_fill(2, '{1536}')::public.vector)",
    )
    assert found == ONE
    assert value(
        chat,
        f"insert into chat.workspaces (name, owner_user_id) values ('w', '{ONE}') returning id is not null",
    )


@pytest.mark.parametrize(
    ("missing", "key"),
    [
        ("users", "chat_messages_v2_sender_user_id_fkey"),
        ("agents", "chat_messages_v2_sender_agent_id_fkey"),
        ("channels", "chat_messages_v2_channel_id_fkey"),
    ],
)
def test_what_messages_refer_to_is_there(chat: psycopg.Connection, missing: str, key: str) -> None:
    """Messages cannot be made: users, agents and channels are nowhere defined."""
    run(chat, "set local search_path = original")
    refused(chat, f"create table messages (other uuid references {missing} (id))", "42P01")

    column = key.removeprefix("chat_messages_v2_").removesuffix("_fkey")
    others = "sender_user_id" if column == "sender_agent_id" else "sender_agent_id"
    refused(
        chat,
        f"update chat.chat_messages_v2 set {others} = null, {column} = '{NOBODY}'",
        "23503",
        key,
    )


def test_a_full_semantic_version_fits(chat: psycopg.Connection) -> None:
    """Messages of a pre-release cannot be stored, because its number has more than ten characters."""
    version = "10.20.30-alpha.1+build.5"
    run(chat, "create table original.messages (version varchar(10))")
    refused(chat, f"insert into original.messages values ('{version}')", "22001")

    for table in ("chat_messages_v2", "agent_states"):
        accepted(chat, f"update chat.{table} set version = '{version}'")
        refused(
            chat, f"update chat.{table} set version = 'latest'", "23514", f"{table}_version_check"
        )


def test_an_agent_can_be_deleted_with_all_that_is_its(chat: psycopg.Connection) -> None:
    """An agent can never be deleted, because what it did and remembers holds it."""
    run(
        chat,
        "create table original.agents (id int primary key);",
        "create table original.sessions (agent_id int references original.agents);",
        "insert into original.agents values (1);",
        "insert into original.sessions values (1);",
    )
    refused(chat, "delete from original.agents", "23503")

    assert all(value(chat, f"select count(*) from chat.{name}") for name in TABLES_OF_AN_AGENT)
    run(chat, "delete from chat.agents")
    left = [name for name in TABLES_OF_AN_AGENT if value(chat, f"select count(*) from chat.{name}")]
    assert not left, f"let the keys of {', '.join(left)} cascade"


def test_a_user_can_be_deleted_and_traces_of_them_elsewhere_are_blanked(
    chat: psycopg.Connection,
) -> None:
    """A user who asks for erasure cannot be deleted, because messages name them as sender."""
    run(
        chat,
        "create table original.users (id int primary key);",
        "create table original.messages (sender_user_id int references original.users);",
        "insert into original.users values (1);",
        "insert into original.messages values (1);",
    )
    refused(chat, "delete from original.users", "23503")

    run(
        chat,
        f"insert into chat.users (id) values ('{TWO}');",
        f"update chat.message_versions set changed_by = '{TWO}';",
        f"update chat.workspace_members set added_by_user_id = '{TWO}';",
        f"delete from chat.users where id = '{TWO}';",
    )
    assert value(chat, "select count(*) from chat.message_versions where changed_by is null") == 1
    assert value(chat, "select added_by_user_id is null from chat.workspace_members")
    run(chat, "delete from chat.users")
    assert value(chat, "select count(*) from chat.chat_messages_v2") == 0


def test_a_message_can_be_deleted_though_others_refer_to_it(chat: psycopg.Connection) -> None:
    """A message can never be deleted once it was answered, remembered or shown to an agent."""
    run(
        chat,
        "create table original.messages",
        " (id int primary key, parent_id int references original.messages);",
        "insert into original.messages values (1, null), (2, 1);",
    )
    refused(chat, "delete from original.messages where id = 1", "23503")

    run(
        chat,
        "insert into chat.chat_messages_v2",
        " (conversation_id, session_id, parent_message_id, role, content)",
        " select conversation_id, session_id, id, 'tool', content from chat.chat_messages_v2;",
        f"update chat.agent_memories set source_message_id = '{ONE}';",
        f"delete from chat.chat_messages_v2 where id = '{ONE}';",
    )
    kept = ("chat_messages_v2", "agent_memories", "context_snapshots")
    assert [value(chat, f"select count(*) from chat.{name}") for name in kept] == [1, 1, 1]
    assert value(chat, "select count(*) from chat.message_versions") == 0


@pytest.mark.parametrize("content", ['{"type": null}', '["type"]', '"type"'])
def test_content_is_an_object_with_a_known_type(chat: psycopg.Connection, content: str) -> None:
    """A message whose content has no type passes its check, as a check that gives null is passed."""
    run(
        chat,
        "create table original.messages (content jsonb",
        " check (content ? 'type' and content ->> 'type' in ('text', 'structured')))",
    )
    accepted(chat, f"insert into original.messages values ('{content}')")

    for table, constraint in (
        ("chat_messages_v2", "check_content_structure"),
        ("message_versions", "message_versions_content_check"),
    ):
        refused(chat, f"update chat.{table} set content = '{content}'", "23514", constraint)


@pytest.mark.parametrize(
    ("memory_type", "first", "second"),
    [
        ("episodic", "event", "temporal"),
        ("semantic", "concept", "definition"),
        ("procedural", "skill", "steps"),
        ("working", "items", "capacity"),
    ],
)
def test_a_memory_is_an_object_with_typed_values(
    chat: psycopg.Connection, memory_type: str, first: str, second: str
) -> None:
    """A memory that only names its keys, or gives null for them, is taken for one with content."""
    contents = [f'["{first}", "{second}"]', f'{{"{first}": null, "{second}": null}}']
    run(
        chat,
        "create table original.memories (content jsonb",
        f" check (content ? '{first}' and content ? '{second}'))",
    )
    for content in contents:
        accepted(chat, f"insert into original.memories values ('{content}')")
        refused(
            chat,
            f"update chat.agent_memories set memory_type = '{memory_type}', content = '{content}'",
            "23514",
            "check_memory_content",
        )


@pytest.mark.parametrize(
    "actor", ["role = 'assistant', sender_user_id = null", f"sender_agent_id = '{ONE}'"]
)
def test_a_message_has_one_sender(chat: psycopg.Connection, actor: str) -> None:
    """An answer that nobody gave, or that a user and an agent gave together."""
    refused_by_rule(
        chat,
        "chat.chat_messages_v2",
        f"update chat_messages_v2 set {actor}",
        "23514",
        "chat_messages_v2_actor",
    )
    for role in ("system", "tool"):
        accepted(chat, f"update chat.chat_messages_v2 set role = '{role}', sender_user_id = null")


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("session_id", "chat_messages_v2_session_id_fkey"),
        ("state_snapshot_id", "chat_messages_v2_state_snapshot_id_fkey"),
    ],
)
def test_sessions_and_states_of_messages_exist(
    chat: psycopg.Connection, column: str, key: str
) -> None:
    """A message of a session, or under a state, that never was."""
    refused_by_rule(
        chat,
        "chat.chat_messages_v2",
        f"update chat_messages_v2 set {column} = '{NOBODY}'",
        "23503",
        key,
    )


def test_what_refers_to_each_other_can_be_written_in_any_order(chat: psycopg.Connection) -> None:
    """A message that names its memory and a memory that names its message wait for each other."""
    run(
        chat,
        "create table original.messages (id int primary key, memory_id int not null);",
        "create table original.memories",
        " (id int primary key, message_id int not null references original.messages);",
        "alter table original.messages add foreign key (memory_id) references original.memories;",
    )
    refused(chat, "insert into original.messages values (1, 1)", "23503")
    refused(chat, "insert into original.memories values (1, 1)", "23503")

    message = (
        "insert into chat.chat_messages_v2"
        " (id, conversation_id, session_id, role, content, memory_refs, state_snapshot_id)"
        f" values ('{TWO}', '{ONE}', '{ONE}', 'system', '{{\"type\": \"text\"}}', '{{{TWO}}}', '{ONE}');"
    )
    memory = (
        "insert into chat.agent_memories (id, agent_id, memory_type, content, source_message_id)"
        f" values ('{TWO}', '{ONE}', 'working', '{{\"items\": [], \"capacity\": 1}}', '{TWO}');"
    )
    snapshot = (
        "insert into chat.context_snapshots (message_id, agent_id, snapshot_data)"
        f" values ('{TWO}', '{ONE}', '{{}}');"
    )
    accepted(chat, message + memory + snapshot)
    accepted(chat, snapshot + memory + message)


@pytest.mark.parametrize(
    ("table", "change", "key"),
    [
        ("state_checkpoints", f"state_id = '{TWO}'", "state_checkpoints_state_of_agent"),
        ("state_transitions", f"to_state_id = '{TWO}'", "state_transitions_to_state_of_agent"),
        ("state_transitions", f"from_state_id = '{TWO}'", "state_transitions_from_state_of_agent"),
    ],
)
def test_an_agent_returns_to_states_of_its_own(
    chat: psycopg.Connection, table: str, change: str, key: str
) -> None:
    """One agent goes on with what another one knows."""
    run(
        chat,
        SECOND_AGENT,
        "create table original.states (id uuid primary key, agent_id uuid);",
        "insert into original.states select id, agent_id from chat.agent_states;",
        "create table original.checkpoints",
        " (agent_id uuid, state_id uuid references original.states);",
    )
    accepted(chat, f"insert into original.checkpoints values ('{ONE}', '{TWO}')")

    refused(chat, f"update chat.{table} set {change}", "23503", key)


def test_only_a_reset_leads_from_a_state_to_itself(chat: psycopg.Connection) -> None:
    """A history of steps that go nowhere."""
    refused_by_rule(
        chat,
        "chat.state_transitions",
        "update state_transitions set from_state_id = to_state_id",
        "23514",
        "state_transitions_moves",
    )
    accepted(
        chat,
        "update chat.state_transitions set from_state_id = to_state_id, transition_type = 'reset'",
    )


@pytest.mark.parametrize(
    ("table", "change", "constraint"),
    [
        ("agent_states", "is_current = null", None),
        (
            "agent_states",
            f"is_current = false, valid_until = '{EARLIER}'",
            "agent_states_end_not_before_start",
        ),
        ("agent_states", "modification_count = -1", "agent_states_modification_count_check"),
        (
            "conversation_sessions",
            f"status = 'completed', ended_at = '{EARLIER}'",
            "conversation_sessions_end_not_before_start",
        ),
        ("conversation_sessions", f"ended_at = '{EVENT}'", "conversation_sessions_open_has_no_end"),
        ("conversation_sessions", "message_count = -1", "conversation_sessions_message_count_check"),
        ("conversation_sessions", "total_tokens_used = -1", "conversation_sessions_total_tokens_used_check"),
        ("conversation_sessions", "tool_calls_count = -1", "conversation_sessions_tool_calls_count_check"),
        ("agent_memories", "decay_rate = -0.1", "agent_memories_decay_rate_check"),
        ("agent_memories", "access_count = -1", "agent_memories_access_count_check"),
        ("message_versions", "version_number = 0", "message_versions_version_number_check"),
        ("memory_consolidations", "source_memories = '{}'", "memory_consolidations_source_memories_check"),
        ("memory_consolidations", "consolidation_type = null", None),
        ("state_checkpoints", "checkpoint_type = null", None),
        ("state_transitions", "transition_type = null", None),
    ],
)  # fmt: skip
def test_impossible_values_are_refused(
    chat: psycopg.Connection, table: str, change: str, constraint: str | None
) -> None:
    """A session that ended before it began, a count below zero, a kind that is not given."""
    refused_by_rule(
        chat,
        f"chat.{table}",
        f"update {table} set {change}",
        "23514" if constraint else "23502",
        constraint,
    )


@pytest.mark.parametrize(
    ("table", "change", "column"),
    [
        ("users", "full_name = 'Ann'", "updated_at"),
        ("agents", "personality = 'kind'", "updated_at"),
        ("datastores", "max_results = 6", "updated_at"),
        ("chat_messages_v2", "metadata = '{\"confidence\": 1}'", "updated_at"),
        ("context_templates", "use_count = 1", "updated_at"),
        ("agent_states", 'local_state = \'{"mood": "good"}\'', "last_modified"),
    ],
)
def test_a_change_is_dated(chat: psycopg.Connection, table: str, change: str, column: str) -> None:
    """A row that says it was never changed since it was made, as nothing sets the time."""
    run(chat, f"create table original.{table} as table chat.{table}")
    for schema, is_dated in (("original", False), ("chat", True)):
        before = value(chat, f"select max({column}) from {schema}.{table}")
        run(chat, f"update {schema}.{table} set {change}")
        assert (value(chat, f"select max({column}) from {schema}.{table}") > before) is is_dated


def test_sessions_can_be_brought_up_to_date_with_their_messages(chat: psycopg.Connection) -> None:
    """A session of a hundred messages that counts none and was last active when it began."""
    spoken = "select message_count, total_tokens_used, tool_calls_count, last_active::text from {}"
    run(chat, "create table original.sessions as table chat.conversation_sessions")
    run(
        chat,
        "insert into chat.chat_messages_v2 (conversation_id, session_id, role, content, metadata, created_at)"
        " select conversation_id, session_id, 'tool', content, m.metadata, '2090-01-01 00:00+00'"
        " from chat.chat_messages_v2, (values ('{\"tokens\": 7}'::jsonb),"
        ' (\'{"tokens": {"prompt": 2, "completion": 1}}\')) as m (metadata)',
    )
    [stale] = chat.execute(spoken.format("original.sessions").encode()).fetchall()
    assert stale[:3] == (0, 0, 0)

    for _ in range(2):
        run(chat, f"select chat.record_message_counts('{ONE}')")
        [counted] = chat.execute(spoken.format("chat.conversation_sessions").encode()).fetchall()
        assert counted[:3] == (3, 10, 2)
        assert counted[3].startswith("2090-01-01")


def test_a_new_state_ends_the_one_before(chat: psycopg.Connection) -> None:
    """An agent with two states that both hold, as nobody ended the first one."""
    current = (
        f"select count(*) from {{}} where agent_id = '{ONE}' and is_current and valid_until is null"
    )
    run(chat, "create table original.states as table chat.agent_states")
    run(chat, "insert into original.states table original.states")
    assert value(chat, current.format("original.states")) == 2

    new = value(chat, f"select chat.set_agent_state('{ONE}', '1.0.1', '0b')::text")
    assert value(chat, current.format("chat.agent_states")) == 1
    history = chat.execute(
        "select s.id::text, s.valid_until = n.valid_from, t.from_state_id = s.id"
        " from chat.state_transitions as t"
        " inner join chat.agent_states as n on n.id = t.to_state_id"
        " inner join chat.agent_states as s on s.id <> n.id"
        f" where n.id = '{new}'".encode()
    ).fetchall()
    assert history == [(ONE, True, True)]
    run(chat, "update chat.agent_states set is_current = false where is_current")
    assert value(chat, "select bool_and(valid_until >= valid_from) from chat.agent_states")


def test_importance_fades_with_time(chat: psycopg.Connection) -> None:
    """What was remembered years ago is as important as what was said a minute ago."""
    run(chat, "update chat.agent_memories set last_accessed = now() - interval '10 days'")
    faded = chat.execute(
        "select m.importance, c.current_importance from chat.agent_memories as m"
        " inner join chat.agent_memories_current as c using (id)"
    ).fetchone()
    # 0.5 x exp(-0.1 x 10)
    assert faded == (Decimal("0.5000"), Decimal("0.1839"))


def test_every_key_has_an_index(chat: psycopg.Connection) -> None:
    """Deleting one agent reads every table that refers to it from end to end."""
    run(
        chat,
        "create table original.agents (id int primary key);",
        "create table original.sessions",
        " (id int primary key, agent_id int references original.agents);",
    )
    assert unindexed_keys(chat, "original") == ["original.sessions: sessions_agent_id_fkey"]

    assert unindexed_keys(chat, "chat") == []


def test_similar_memories_are_found_though_the_index_was_made_empty(
    chat: psycopg.Connection,
) -> None:
    """A search for ten memories that finds three: lists were drawn up before there was anything."""
    # So that both searches go through the index, however few rows there are.
    run(chat, "set local enable_seqscan = off; set local enable_sort = off;")
    run(chat, "set local search_path = public")
    direction = "(select array_agg(sin({} * k)) from generate_series(1, 1536) as k)::real[]::vector"
    embeddings = f"select {direction.format('n')} as embedding from generate_series(1, 300) as n"
    searches = "generate_series(1, 20) as n"
    run(
        chat,
        "create table original.memories (embedding vector(1536));",
        "create index on original.memories using ivfflat (embedding vector_cosine_ops);",
        f"insert into original.memories {embeddings};",
    )
    search = (
        f"select from original.memories order by embedding <=> {direction.format('n')} limit 10"
    )
    assert value(chat, f"select count(*) from {searches}, lateral ({search}) as found") < 200

    run(
        chat,
        "insert into chat.agent_memories (agent_id, memory_type, content, embeddings)"
        f" select agent_id, memory_type, content, embedding from chat.agent_memories, ({embeddings})",
    )
    search = f"chat.find_similar_memories('{ONE}', {direction.format('n')}, -1, 10)"
    assert value(chat, f"select count(*) from {searches}, {search}") == 200
    assert "hnsw" in value(chat, "select pg_get_indexdef('chat.idx_memories_embedding'::regclass)")


def test_no_index_repeats_another(chat: psycopg.Connection) -> None:
    """Every new state is written into two indexes that hold the same."""
    run(
        chat,
        "create table original.states (agent_id uuid, is_current boolean);",
        "create unique index on original.states (agent_id) where is_current;",
        "create index repeated on original.states (agent_id) where is_current;",
    )
    assert needless_indexes(chat, "original") == ["original.repeated"]

    assert needless_indexes(chat, "chat") == []


def test_ratios_are_exact_and_in_range(chat: psycopg.Connection) -> None:
    """Three memories of importance 0.1 weigh more than 0.3 together, and one weighs minus five."""
    run(
        chat,
        "create table original.memories as select 0.1::float as importance, -5::float as ratio",
    )
    three_times = "cross join generate_series(1, 3)"
    assert value(chat, f"select sum(importance) > 0.3 from original.memories {three_times}")

    run(chat, "update chat.agent_memories set importance = 0.1")
    assert value(chat, f"select sum(importance) = 0.3 from chat.agent_memories {three_times}")
    refused(
        chat,
        "update chat.agent_memories set importance = -5",
        "23514",
        "agent_memories_importance_check",
    )
    refused(
        chat,
        "update chat.context_snapshots set compression_ratio = -5",
        "23514",
        "context_snapshots_compression_ratio_check",
    )
    comment = value(
        chat,
        "select col_description('chat.context_snapshots'::regclass, attnum) from pg_attribute"
        " where attrelid = 'chat.context_snapshots'::regclass and attname = 'compression_ratio'",
    )
    assert "below 1 is good" in comment, "say in the comment which way the ratio goes"


@pytest.mark.parametrize(
    ("policy", "expires_at", "constraint"),
    [
        ("temporary", "null", "state_checkpoints_temporary_expires"),
        ("permanent", "now()", "state_checkpoints_permanent_stays"),
    ],
)
def test_what_is_temporary_expires_and_what_is_permanent_does_not(
    chat: psycopg.Connection, policy: str, expires_at: str, constraint: str
) -> None:
    """A temporary checkpoint that stays for ever, or a permanent one that is deleted."""
    refused_by_rule(
        chat,
        "chat.state_checkpoints",
        f"update state_checkpoints set retention_policy = '{policy}', expires_at = {expires_at}",
        "23514",
        constraint,
    )


def test_messages_are_partitioned_by_month(chat: psycopg.Connection) -> None:
    """Old messages leave by a million deletes: with such keys the table cannot be partitioned later."""
    columns = "id uuid {}, parent_id uuid {}, created_at timestamptz not null"
    partitioned = f"create table original.messages ({columns}) partition by range (created_at)"
    refused(chat, partitioned.format("primary key", ""), "0A000")
    refused(chat, partitioned.format("", "references original.messages (id)"), "42830")

    table = "'chat.chat_messages_v2'"
    run(chat, f"select ops.create_month_partitions({table}, '2020-03-01', '2020-03-31')")
    month = value(chat, f"select ops.month_partition_name({table}, '2020-03-01')")
    assert value(chat, f"select count(*) from chat.{month}") == 1
