-- Where the move of messages from the first generation (chat_messages) to the second (chat_messages_v2)
-- stands, and what the two have to do with each other. A message keeps its id and its time, so that
-- nothing that refers to it has to be changed, and a copy that is made again is the same one.

set local role agentbooks_owner;

create table ops.chat_migration (
    is_only boolean not null default true primary key check (is_only),
    phase text not null default 'idle' check (phase in ('idle', 'parallel', 'gradual', 'done', 'leaving')),
    read_share numeric not null default 0 check (read_share between 0 and 1),
    file_node oid,
    next_block bigint not null default 0 check (next_block >= 0),
    end_block bigint not null default 0 check (end_block >= 0),
    is_backfilled boolean not null default false,
    closed_change_id bigint,
    findings jsonb check (jsonb_typeof(findings) = 'object'),
    validated_at timestamptz,
    changed_at timestamptz not null default clock_timestamp(),
    constraint chat_migration_reads check ((phase in ('gradual', 'done')) = (read_share > 0))
);

comment on table ops.chat_migration is
'One row: how far chat.chat_messages has moved to chat.chat_messages_v2. Written by functions of chat alone.';
comment on column ops.chat_migration.is_only is 'There is one row.';
comment on column ops.chat_migration.phase is
'idle: the tables know nothing of each other; parallel: what is written to one is written to the other; '
'gradual: and a share of the conversations is read from the second; done: the first takes no more; '
'leaving: on the way from parallel back to idle, copies are being deleted.';
comment on column ops.chat_migration.read_share is
'Share of the conversations that chat.messages reads from the second table, 0 to 1.';
comment on column ops.chat_migration.file_node is
'File of the first table when the backfill began: another one has other blocks, and it begins anew.';
comment on column ops.chat_migration.next_block is 'Block of the first table at which the backfill goes on.';
comment on column ops.chat_migration.end_block is
'Blocks that the first table had when it began: what came later was copied as it came.';
comment on column ops.chat_migration.is_backfilled is 'Whether no message waits for its copy.';
comment on column ops.chat_migration.closed_change_id is
'Oldest transaction that was at work when the first table was closed; null while it is open. What the '
'second has got since is brought back by a rollback.';
comment on column ops.chat_migration.findings is
'What the last validation found, by name: see chat.compare_generations. Null before the first.';
comment on column ops.chat_migration.validated_at is 'When; null before the first.';
comment on column ops.chat_migration.changed_at is 'When the phase or the share was last set.';

insert into ops.chat_migration default values;
grant select on ops.chat_migration to agentbooks_refresher, agentbooks_retention;

-- Sessions of the first generation are made up: for each who spoke in a channel one, so that they go when
-- that person or agent does. Ids of version 8 are nobody else's. With the casts it is immutable within, so
-- that queries take it in.
create function chat.first_session(tenant_id text, conversation_id uuid, speaker_id uuid) returns uuid
language sql
immutable
parallel safe
return overlay(
    overlay(
        md5(tenant_id || ' ' || conversation_id::text || ' ' || speaker_id::text)
        placing 'c4a7000100018001' from 1
    ) placing '8' from 17
)::uuid;

comment on function chat.first_session(text, uuid, uuid) is
'Session of what somebody said in a channel before there were sessions: always the same one.';

create function chat.is_first_session(session_id uuid) returns boolean
language sql
immutable
parallel safe
return session_id between 'c4a70001-0001-8001-8000-000000000000' and 'c4a70001-0001-8001-8fff-ffffffffffff';

comment on function chat.is_first_session(uuid) is
'Whether a session was made up for messages of the first generation: its id says so.';

create function chat.text_of(content jsonb) returns text
language sql
immutable
parallel safe
return coalesce(
    nullif(content ->> 'text', ''), case when content - 'type' = '{}' then '[removed]' else content::text end
);

comment on function chat.text_of(jsonb) is
'What a message of the second generation says, as the first can hold it: its text, else all of it. What '
'retention or an erasure has emptied is [removed] in both.';

create function chat.content_of(said text, content jsonb) returns jsonb
language sql
immutable
parallel safe
return case
    when chat.text_of(content) = said then content
    when content ->> 'text' <> '' then jsonb_set(content, '{text}', to_jsonb(said))
    else jsonb_build_object('type', 'text', 'text', said)
end;

comment on function chat.content_of(text, jsonb) is
'Content that says this text, and otherwise is what it was; null for none.';

create function chat.refusal(sender_user_id uuid, sender_agent_id uuid, metadata jsonb, is_departed boolean)
returns text
language sql
immutable
parallel safe
return case
    when num_nonnulls(sender_user_id, sender_agent_id) = 2 then 'a user and an agent send it'
    when metadata is not null and not chat.is_message_metadata(metadata)
        then 'its metadata has a known key of another type or range'
    when is_departed then 'its month has left chat_messages_v2'
end;

comment on function chat.refusal(uuid, uuid, jsonb, boolean) is
'Why chat_messages_v2 cannot take a message of the first generation; null if it can.';

create function chat.place_of(conversation_id uuid) returns numeric
language sql
immutable
parallel safe
return ('x' || substr(md5(conversation_id::text), 1, 7))::bit(28)::int / 268435456.0;

comment on function chat.place_of(uuid) is
'Where a conversation stands among all, 0 to below 1: it is read from the second table once the share is '
'above, and never back and forth as the share grows.';

create function chat.read_share() returns numeric
language sql
stable
parallel safe
security definer
set search_path = pg_catalog, pg_temp
return (select m.read_share from ops.chat_migration as m);

comment on function chat.read_share() is
'Share of the conversations that chat.messages reads from the second table.';

revoke all on function chat.first_session(text, uuid, uuid) from public;
revoke all on function chat.is_first_session(uuid) from public;
revoke all on function chat.text_of(jsonb) from public;
revoke all on function chat.content_of(text, jsonb) from public;
revoke all on function chat.refusal(uuid, uuid, jsonb, boolean) from public;
revoke all on function chat.place_of(uuid) from public;
revoke all on function chat.read_share() from public;
grant execute on function
    chat.first_session(text, uuid, uuid), chat.is_first_session(uuid), chat.text_of(jsonb),
    chat.content_of(text, jsonb), chat.place_of(uuid), chat.read_share()
to agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;
