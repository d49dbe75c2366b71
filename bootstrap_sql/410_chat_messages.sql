-- Sessions and their messages. A message goes with its session; a session outlives its messages, so
-- that retention expires messages by their own date.

set local role agentbooks_owner;

-- A conversation has no table: it is what its sessions share.
create table chat.conversation_sessions (
    id uuid not null default gen_random_uuid() primary key,
    conversation_id uuid not null,
    user_id uuid references chat.users on delete cascade,
    agent_id uuid references chat.agents on delete cascade,
    started_at timestamptz not null default now(),
    ended_at timestamptz check (ended_at < timestamptz '2100-01-01 00:00+00'),
    last_active timestamptz not null default now(),
    message_count integer not null default 0 check (message_count >= 0),
    total_tokens_used bigint not null default 0 check (total_tokens_used >= 0),
    tool_calls_count integer not null default 0 check (tool_calls_count >= 0),
    session_state jsonb default '{}' check (jsonb_typeof(session_state) = 'object'),
    interruption_context jsonb check (jsonb_typeof(interruption_context) = 'object'),
    status varchar(20) not null default 'active'
    check (status in ('active', 'paused', 'completed', 'abandoned')),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint conversation_sessions_has_user_or_agent
    check (num_nonnulls(user_id, agent_id) > 0),
    constraint conversation_sessions_started_at_readable check (
        started_at >= timestamptz '2000-01-01 00:00+00'
        and started_at < timestamptz '2100-01-01 00:00+00'
    ),
    constraint conversation_sessions_end_not_before_start check (ended_at >= started_at),
    constraint conversation_sessions_open_has_no_end
    check (status in ('completed', 'abandoned') or ended_at is null)
);

alter table chat.conversation_sessions enable row level security;

-- Sessions of a conversation, in order.
create index idx_sessions_conversation on chat.conversation_sessions (conversation_id, started_at);
-- A user's sessions, newest first; the key to users and the policy.
create index idx_sessions_user
on chat.conversation_sessions (user_id, started_at desc) where user_id is not null;
-- An agent's sessions, newest first; the key to agents.
create index idx_sessions_agent
on chat.conversation_sessions (agent_id, started_at desc) where agent_id is not null;
-- Sessions still open: few among all.
create index idx_sessions_open
on chat.conversation_sessions (started_at) where status in ('active', 'paused');
-- What changed since a refresh.
create index idx_sessions_change_id
on chat.conversation_sessions using brin (change_id) with (autosummarize = on);

create policy conversation_sessions_own on chat.conversation_sessions
for all to authenticated
using (tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_uuid()))
with check (tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_uuid()));

grant select, insert, update on chat.conversation_sessions to agentbooks_loader;
grant select on chat.conversation_sessions to agentbooks_refresher;
grant select, delete on chat.conversation_sessions to agentbooks_retention;
grant select, insert, update, delete on chat.conversation_sessions to service_role;
-- Not the counters; nor change_id, as a row with an old one would never be counted.
grant
    select,
    insert (
        id, conversation_id, user_id, agent_id, started_at, ended_at, last_active, session_state,
        interruption_context, status, tenant_id
    ),
    update (ended_at, last_active, session_state, interruption_context, status)
on chat.conversation_sessions to authenticated;

comment on table chat.conversation_sessions is
'One row per sitting of a user with an agent. The counters are a copy for screens, refreshed by '
'chat.record_message_counts(); the marts count messages.';
comment on column chat.conversation_sessions.id is 'The session; messages name it as session_id.';
comment on column chat.conversation_sessions.conversation_id is
'What sessions of one conversation share. It has no table.';
comment on column chat.conversation_sessions.user_id is
'Who talks; null if agents talk among themselves.';
comment on column chat.conversation_sessions.agent_id is 'Who answers; null if it is not fixed.';
comment on column chat.conversation_sessions.started_at is 'Start of the session, 2000 to 2099.';
comment on column chat.conversation_sessions.ended_at is
'When it ended; messages of a later time are refused (AB410). Null while open; a completed or '
'abandoned session with null ended at an unknown time and takes nothing more.';
comment on column chat.conversation_sessions.last_active is
'Latest message or other sign of life that was recorded.';
comment on column chat.conversation_sessions.message_count is
'Messages in chat_messages_v2 when last counted: those that retention took are not among them.';
comment on column chat.conversation_sessions.total_tokens_used is
'Tokens that those messages report; a message that reports none counts as 0 here.';
comment on column chat.conversation_sessions.tool_calls_count is
'Messages of role tool among them: each is the answer to one call.';
comment on column chat.conversation_sessions.session_state is
'An object, free in its keys; null and {} both mean none.';
comment on column chat.conversation_sessions.interruption_context is
'An object: what to take up again; null if it was not interrupted.';
comment on column chat.conversation_sessions.status is
'Active and paused sessions are open. Nothing closes one but the application.';
comment on column chat.conversation_sessions.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.conversation_sessions.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- In PL/pgSQL, whose plans last for the session: a function in SQL would be planned again by each
-- insert of a single row, which then takes twice as long. And one jsonpath for all types, as every
-- operator in SQL is made ready again in each transaction.

create function chat.is_message_content(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        jsonb_typeof(document) = 'object'
        and document ->> 'type' in ('text', 'structured', 'multimodal', 'tool_result')
        and coalesce(document ->> 'format', 'plain') in ('plain', 'markdown', 'html', 'json')
        and not document @? '$ ? (
            (@.text.type() != "string" && @.text.type() != "null")
            || (@.language.type() != "string" && @.language.type() != "null")
            || (@.parts.type() != "array" && @.parts.type() != "null")
            || (
                @.parts.type() == "array" && (
                    @.parts[*].type() != "object"
                    || exists(@.parts[*] ? (
                        @.type.type() != "string" || !(
                            @.type == "text" || @.type == "image" || @.type == "code"
                            || @.type == "data" || @.type == "reference"
                        )
                    ))
                )
            )
        )',
        false
    );
end
$function$;

comment on function chat.is_message_content(jsonb) is
'Whether a value is {type, text, structured, parts[{type, content, metadata}], format, language}: '
'type text, structured, multimodal or tool_result and required; the others of their type, null or '
'absent; type of a part text, image, code, data or reference; format plain, markdown, html or json.';

create function chat.is_message_metadata(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return document = '{}' or coalesce(
        jsonb_typeof(document) = 'object'
        and coalesce(document ->> 'source', 'api') in ('api', 'ui', 'automation', 'system')
        and not document @? '$ ? (
            (@.model.type() != "string" && @.model.type() != "null")
            || (@.model_version.type() != "string" && @.model_version.type() != "null")
            || (@.temperature.type() != "number" && @.temperature.type() != "null")
            || (@.max_tokens.type() != "number" && @.max_tokens.type() != "null")
            || (@.confidence.type() != "number" && @.confidence.type() != "null")
            || (@.quality_score.type() != "number" && @.quality_score.type() != "null")
            || (
                @.tokens.type() != "number" && @.tokens.type() != "object"
                && @.tokens.type() != "null"
            )
            || (@.tokens.prompt.type() != "number" && @.tokens.prompt.type() != "null")
            || (@.tokens.completion.type() != "number" && @.tokens.completion.type() != "null")
            || (@.tokens.total.type() != "number" && @.tokens.total.type() != "null")
            || (@.latency.type() != "object" && @.latency.type() != "null")
            || (@.latency.inference_ms.type() != "number" && @.latency.inference_ms.type() != "null")
            || (@.latency.total_ms.type() != "number" && @.latency.total_ms.type() != "null")
            || @.tokens < 0 || @.tokens > 1000000000000
            || @.tokens.* < 0 || @.tokens.* > 1000000000000
            || @.latency.* < 0
            || @.confidence < 0 || @.confidence > 1
        )',
        false
    );
end
$function$;

comment on function chat.is_message_metadata(jsonb) is
'Whether a value is {model, model_version, temperature, max_tokens, tokens (a number, or {prompt, '
'completion, total}), latency{inference_ms, total_ms}, confidence 0 to 1, quality_score, source api, '
'ui, automation or system}, each of its type, null or absent. {} is.';

create function chat.is_message_context(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return document = '{}' or coalesce(
        jsonb_typeof(document) = 'object'
        and not document @? '$ ? (
            (@.thread_id.type() != "string" && @.thread_id.type() != "null")
            || (@.workspace_id.type() != "string" && @.workspace_id.type() != "null")
            || (@.intent.type() != "string" && @.intent.type() != "null")
            || (@.topics.type() != "array" && @.topics.type() != "null")
            || (@.entities.type() != "array" && @.entities.type() != "null")
            || (@.relevant_memories.type() != "array" && @.relevant_memories.type() != "null")
            || (@.memory_score.type() != "number" && @.memory_score.type() != "null")
        )',
        false
    );
end
$function$;

comment on function chat.is_message_context(jsonb) is
'Whether a value is {thread_id, workspace_id, intent, topics[], entities[], sentiment, '
'relevant_memories[], memory_score, state_version, state_delta}, each of its type, null or absent.';

revoke all on function chat.is_message_content(jsonb) from public;
revoke all on function chat.is_message_metadata(jsonb) from public;
revoke all on function chat.is_message_context(jsonb) from public;
grant execute on function chat.is_message_content(jsonb) to
    agentbooks_loader, service_role, authenticated;
grant execute on function chat.is_message_metadata(jsonb) to
    agentbooks_loader, service_role, authenticated;
grant execute on function chat.is_message_context(jsonb) to
    agentbooks_loader, service_role, authenticated;


-- The first generation, by channel and without sessions. The second replaces it; both are read.
create table chat.chat_messages (
    id uuid not null default gen_random_uuid() primary key,
    channel_id uuid references chat.chat_channels on delete cascade,
    sender_agent_id uuid references chat.agents on delete cascade,
    sender_user_id uuid references chat.users on delete cascade,
    content text not null check (char_length(content) > 0),
    metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint chat_messages_has_sender check (num_nonnulls(sender_agent_id, sender_user_id) > 0),
    constraint chat_messages_created_at_readable check (
        created_at >= timestamptz '2000-01-01 00:00+00'
        and created_at < timestamptz '2100-01-01 00:00+00'
    )
);

alter table chat.chat_messages enable row level security;

-- The latest messages of a channel; the key to channels.
create index idx_chat_messages_channel on chat.chat_messages (channel_id, created_at desc);
-- Messages of an agent; the key to agents.
create index idx_chat_messages_sender_agent
on chat.chat_messages (sender_agent_id) where sender_agent_id is not null;
-- Messages of a user; the key to users.
create index idx_chat_messages_sender_user
on chat.chat_messages (sender_user_id) where sender_user_id is not null;
-- What changed since a refresh.
create index idx_chat_messages_change_id
on chat.chat_messages using brin (change_id) with (autosummarize = on);

grant select, insert, update on chat.chat_messages to agentbooks_loader;
grant select on chat.chat_messages to agentbooks_refresher;
grant select, delete on chat.chat_messages to agentbooks_retention;
grant select, insert, update, delete on chat.chat_messages to service_role;
grant
    select,
    insert (
        id, channel_id, sender_agent_id, sender_user_id, content, metadata, created_at, tenant_id
    )
on chat.chat_messages to authenticated;

comment on table chat.chat_messages is 'One row per message of the first generation.';
comment on column chat.chat_messages.id is 'The message.';
comment on column chat.chat_messages.channel_id is 'Channel it was said in; null if in none.';
comment on column chat.chat_messages.sender_agent_id is
'Agent who speaks; null if a user does. Both are set where an agent speaks for a user.';
comment on column chat.chat_messages.sender_user_id is 'User who speaks; null if an agent does.';
comment on column chat.chat_messages.content is 'What was said. Personal data.';
comment on column chat.chat_messages.metadata is 'An object, free in its keys; null without.';
comment on column chat.chat_messages.created_at is 'When it was said, 2000 to 2099.';
comment on column chat.chat_messages.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.chat_messages.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Partitioned by month: messages leave after 90 days. A reply's parent may leave before it, so that
-- parent_message_id is no foreign key; nor is memory_refs, an array.
create table chat.chat_messages_v2 (
    id uuid not null default gen_random_uuid(),
    version text not null default '1.0.0'
    check (version ~ '^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$'),
    conversation_id uuid not null,
    session_id uuid not null references chat.conversation_sessions on delete cascade,
    parent_message_id uuid check (parent_message_id <> id),
    channel_id uuid,
    sender_user_id uuid references chat.users on delete cascade,
    sender_agent_id uuid references chat.agents on delete cascade,
    role varchar(20) not null check (role = any('{system,user,assistant,tool}')),
    content jsonb not null
    constraint check_content_structure check (chat.is_message_content(content)),
    metadata jsonb default '{}'
    constraint check_metadata_structure
    check (metadata is null or chat.is_message_metadata(metadata)),
    context jsonb default '{}'
    constraint check_context_structure check (context is null or chat.is_message_context(context)),
    tools jsonb check (jsonb_typeof(tools) = any('{array,object}')),
    memory_refs uuid[] check (array_position(memory_refs, null) is null),
    state_snapshot_id uuid,
    audit jsonb check (jsonb_typeof(audit) = any('{array,object}')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, id, created_at),
    constraint chat_messages_v2_actor check (
        (sender_user_id is null or sender_agent_id is null)
        and (
            sender_user_id is not null
            or sender_agent_id is not null
            or role = any('{system,tool}')
        )
    ),
    constraint chat_messages_v2_created_at_readable check (
        created_at >= timestamptz '2000-01-01 00:00+00'
        and created_at < timestamptz '2100-01-01 00:00+00'
    )
) partition by range (created_at);

alter table chat.chat_messages_v2 enable row level security;

-- Writers know a message by its id alone.
create index idx_messages_id on chat.chat_messages_v2 (id);
-- The latest messages of a session: the query that every turn of an agent makes.
create index idx_messages_session on chat.chat_messages_v2 (session_id, created_at desc);
-- A conversation in order.
create index idx_messages_conversation on chat.chat_messages_v2 (conversation_id, created_at);
-- The latest messages of a channel; the key to channels.
create index idx_messages_channel
on chat.chat_messages_v2 (channel_id, created_at desc) where channel_id is not null;
-- Messages of a user; the key to users.
create index idx_messages_sender_user
on chat.chat_messages_v2 (sender_user_id) where sender_user_id is not null;
-- Messages of an agent; the key to agents.
create index idx_messages_sender_agent
on chat.chat_messages_v2 (sender_agent_id) where sender_agent_id is not null;
-- The replies to a message; most are none.
create index idx_messages_parent
on chat.chat_messages_v2 (parent_message_id) where parent_message_id is not null;
-- The key to states; few messages name one.
create index idx_messages_state_snapshot
on chat.chat_messages_v2 (state_snapshot_id) where state_snapshot_id is not null;
-- Containment in content: @>.
create index idx_messages_content_gin
on chat.chat_messages_v2 using gin (content jsonb_path_ops);
-- Containment in metadata: @>.
create index idx_messages_metadata_gin
on chat.chat_messages_v2 using gin (metadata jsonb_path_ops);
-- What changed since a refresh, and one day out of a month: a BRIN serves each of its columns.
create index idx_messages_change_id
on chat.chat_messages_v2 using brin (change_id, created_at) with (autosummarize = on);

grant select, insert, update on chat.chat_messages_v2 to agentbooks_loader;
grant select on chat.chat_messages_v2 to agentbooks_refresher;
grant select, delete on chat.chat_messages_v2 to agentbooks_retention;
grant select, insert, update, delete on chat.chat_messages_v2 to service_role;
grant
    select,
    insert (
        id, version, conversation_id, session_id, parent_message_id, channel_id, sender_user_id,
        sender_agent_id, role, content, metadata, context, tools, memory_refs, state_snapshot_id,
        audit, created_at, updated_at, tenant_id
    ),
    update (content, metadata)
on chat.chat_messages_v2 to authenticated;

comment on table chat.chat_messages_v2 is
'One row per message of a session. Refused when it is later than the end of its session (AB410). An '
'edit keeps the earlier text in message_versions.';
comment on column chat.chat_messages_v2.id is
'The message. Unique by the writer''s word: the key holds session and time too.';
comment on column chat.chat_messages_v2.version is
'Version of the message''s format, such as 1.0.0; not of its text.';
comment on column chat.chat_messages_v2.conversation_id is
'Conversation that its session belongs to. It has no table.';
comment on column chat.chat_messages_v2.session_id is 'Session it was said in.';
comment on column chat.chat_messages_v2.parent_message_id is
'Message it answers, perhaps archived by now; null for the first of a thread.';
comment on column chat.chat_messages_v2.channel_id is
'Channel it was shown in; null if in none, or if the channel was deleted.';
comment on column chat.chat_messages_v2.sender_user_id is
'User who speaks. At most one of the two senders is set, and only system and tool may lack both.';
comment on column chat.chat_messages_v2.sender_agent_id is 'Agent who speaks; else null.';
comment on column chat.chat_messages_v2.role is
'As what it is shown to the model: system, user, assistant or tool.';
comment on column chat.chat_messages_v2.content is
'Object {type, text, structured, parts[{type, content, metadata}], format, language}, type required. '
'Personal data.';
comment on column chat.chat_messages_v2.metadata is
'Object {model, model_version, temperature, max_tokens, tokens, latency{inference_ms, total_ms}, '
'confidence, quality_score, source, client_id, request_id}. tokens is a total or {prompt, '
'completion, total}. Null and {} both mean none.';
comment on column chat.chat_messages_v2.context is
'Object {thread_id, workspace_id, intent, topics[], entities[], sentiment, relevant_memories[], '
'memory_score, state_version, state_delta}. Null and {} both mean none.';
comment on column chat.chat_messages_v2.tools is
'Tools that were offered or called, as the application writes them; null without.';
comment on column chat.chat_messages_v2.memory_refs is
'Memories that were used; null and {} both mean none. No key: a data test looks for lost ones.';
comment on column chat.chat_messages_v2.state_snapshot_id is
'State of the agent when it spoke; null if not recorded or since deleted.';
comment on column chat.chat_messages_v2.audit is
'Whatever the application keeps for its own audit; null without.';
comment on column chat.chat_messages_v2.created_at is
'When it was said, 2000 to 2099; the partition key.';
comment on column chat.chat_messages_v2.updated_at is 'When the row was last changed.';
comment on column chat.chat_messages_v2.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.chat_messages_v2.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

create table chat.chat_messages_v2_default partition of chat.chat_messages_v2 default;
alter table chat.chat_messages_v2_default enable row level security;

select ops.create_month_partitions(
    'chat.chat_messages_v2', current_date, (current_date + interval '3 months')::date
);


-- What a message said before it was edited. Messages are partitioned, and no foreign key points to
-- them: versions go with their session, and by a trigger with their message.
create table chat.message_versions (
    id uuid not null default gen_random_uuid(),
    session_id uuid not null references chat.conversation_sessions on delete cascade,
    message_id uuid not null,
    version_number integer not null check (version_number > 0),
    content jsonb not null check (chat.is_message_content(content)),
    metadata jsonb check (jsonb_typeof(metadata) = 'object'),
    changed_by uuid,
    change_reason text,
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    primary key (session_id, id),
    constraint message_versions_number unique (session_id, message_id, version_number)
);

alter table chat.message_versions enable row level security;

-- Versions of a message, for who knows the message alone.
create index idx_message_versions_message on chat.message_versions (message_id, version_number);
-- The key to whoever made the edit.
create index idx_message_versions_changed_by
on chat.message_versions (changed_by) where changed_by is not null;

grant select, insert, update on chat.message_versions to agentbooks_loader;
grant select on chat.message_versions to agentbooks_refresher, authenticated;
grant select, delete on chat.message_versions to agentbooks_retention;
grant select, insert, update, delete on chat.message_versions to service_role;

comment on table chat.message_versions is
'One row per text that an edit replaced. The text that holds stands in the message itself.';
comment on column chat.message_versions.id is 'Unique within the session.';
comment on column chat.message_versions.session_id is
'Session of the message; taken from the message where a writer leaves it out.';
comment on column chat.message_versions.message_id is 'Message that was edited. No key.';
comment on column chat.message_versions.version_number is
'1 is what was first said; the higher, the later.';
comment on column chat.message_versions.content is 'The replaced content. Personal data.';
comment on column chat.message_versions.metadata is 'The replaced metadata; null without.';
comment on column chat.message_versions.changed_by is
'Who replaced it; null if the application did, or if the user was deleted.';
comment on column chat.message_versions.change_reason is
'The setting app.change_reason at the time of the edit; null if it was not set.';
comment on column chat.message_versions.created_at is 'When it was replaced.';
comment on column chat.message_versions.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.message_versions.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
