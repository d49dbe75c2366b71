-- What agents remember. Reference tables: memories are searched by agent, not by session.

set local role agentbooks_owner;

create function chat.is_memory_content(memory_type text, document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        jsonb_typeof(document) = 'object'
        and case memory_type
            when 'episodic' then
                jsonb_typeof(document -> 'event') in ('string', 'object')
                and jsonb_typeof(document -> 'temporal') = 'object'
                and coalesce(jsonb_typeof(document -> 'participants'), 'null') in ('null', 'array')
            when 'semantic' then
                jsonb_typeof(document -> 'concept') = 'string'
                and jsonb_typeof(document -> 'definition') = 'string'
                and coalesce(jsonb_typeof(document -> 'relationships'), 'null') in ('null', 'array')
                and coalesce(jsonb_typeof(document -> 'source'), 'null') in ('null', 'object')
                and coalesce(document #>> '{source,origin}', 'learned')
                in ('learned', 'configured', 'extracted')
            when 'procedural' then
                jsonb_typeof(document -> 'skill') = 'string'
                and jsonb_typeof(document -> 'steps') = 'array'
                and coalesce(jsonb_typeof(document -> 'prerequisites'), 'null') in ('null', 'array')
                and coalesce(jsonb_typeof(document -> 'outcomes'), 'null') in ('null', 'array')
                and coalesce(jsonb_typeof(document -> 'performance'), 'null') in ('null', 'object')
            when 'working' then
                jsonb_typeof(document -> 'items') = 'array'
                and jsonb_typeof(document -> 'capacity') = 'number'
                and not document @? '$ ? (@.capacity < 0)'
                and coalesce(jsonb_typeof(document -> 'usage'), 'null') in ('null', 'number')
                and coalesce(jsonb_typeof(document -> 'priority_queue'), 'null') in ('null', 'array')
                and coalesce(jsonb_typeof(document -> 'compression_enabled'), 'null')
                in ('null', 'boolean')
        end,
        false
    );
end
$function$;

comment on function chat.is_memory_content(text, jsonb) is
'Whether a value has the shape of its type of memory: episodic {event, temporal, context, '
'participants[], outcome}, semantic {concept, definition, relationships[], attributes, source}, '
'procedural {skill, steps[], prerequisites[], outcomes[], performance}, working {items[], capacity, '
'usage, priority_queue[], compression_enabled}; the first two keys of each required and typed.';

revoke all on function chat.is_memory_content(text, jsonb) from public;
grant execute on function chat.is_memory_content(text, jsonb) to agentbooks_loader, service_role;


create table chat.agent_memories (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    memory_type varchar(20) not null
    check (memory_type in ('episodic', 'semantic', 'procedural', 'working')),
    content jsonb not null,
    importance numeric(5, 4) not null default 0.5 check (importance between 0 and 1),
    decay_rate numeric not null default 0.1 check (decay_rate >= 0 and decay_rate < 'infinity'),
    access_count integer not null default 0 check (access_count >= 0),
    related_memories uuid[] check (array_position(related_memories, null) is null),
    source_message_id uuid,
    last_accessed timestamptz not null default now() check (isfinite(last_accessed)),
    created_at timestamptz not null default now() check (isfinite(created_at)),
    expires_at timestamptz check (isfinite(expires_at)),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint check_memory_content check (chat.is_memory_content(memory_type, content)),
    constraint agent_memories_expiry_not_before_creation check (expires_at >= created_at)
);

alter table chat.agent_memories enable row level security;

-- An agent's memories of a type; the key to agents.
create index idx_memories_agent_type on chat.agent_memories (agent_id, memory_type);
-- The most important memories.
create index idx_memories_importance on chat.agent_memories (importance desc);
-- Containment in content: @>.
create index idx_memories_content_gin
on chat.agent_memories using gin (content jsonb_path_ops);
-- Memories that are to go; most never do.
create index idx_memories_expires on chat.agent_memories (expires_at) where expires_at is not null;
-- What was remembered of a message.
create index idx_memories_source_message
on chat.agent_memories (source_message_id) where source_message_id is not null;
-- What changed since a refresh.
create index idx_memories_change_id
on chat.agent_memories using brin (change_id) with (autosummarize = on);

grant select, insert, update on chat.agent_memories to agentbooks_loader;
grant select on chat.agent_memories to agentbooks_refresher, authenticated;
grant select, delete on chat.agent_memories to agentbooks_retention;
grant select, insert, update, delete on chat.agent_memories to service_role;

comment on table chat.agent_memories is
'One row per memory of an agent. Read importance from agent_memories_current.';
comment on column chat.agent_memories.id is 'The memory.';
comment on column chat.agent_memories.agent_id is 'Agent who remembers.';
comment on column chat.agent_memories.memory_type is
'What is remembered; it fixes the shape of content.';
comment on column chat.agent_memories.content is
'Object by memory_type: episodic {event, temporal, …}, semantic {concept, definition, …}, procedural '
'{skill, steps[], …}, working {items[], capacity, …}. May hold personal data.';
comment on column chat.agent_memories.importance is
'0 to 1 at the time of last_accessed; it fades from there.';
comment on column chat.agent_memories.decay_rate is
'How fast importance fades: by the factor exp(-decay_rate) a day. 0: never.';
comment on column chat.agent_memories.access_count is 'Times it was recalled.';
comment on column chat.agent_memories.related_memories is
'Null and {} both mean none. No key: a data test looks for lost ones.';
comment on column chat.agent_memories.source_message_id is
'Message it was learnt from, perhaps archived by now; null if from none. No key.';
comment on column chat.agent_memories.last_accessed is 'When it was last recalled, or made.';
comment on column chat.agent_memories.created_at is 'When it was made.';
comment on column chat.agent_memories.expires_at is 'When it is to be forgotten; null: never.';
comment on column chat.agent_memories.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.agent_memories.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Importance depends on the moment of reading, so that no column can hold it. The decay is numeric:
-- a double would fail with an underflow for memories long forgotten.
create view chat.agent_memories_current
with (security_invoker = true)
as
select
    m.id,
    m.agent_id,
    m.memory_type,
    m.content,
    m.importance,
    round(
        m.importance::numeric * exp(
            -m.decay_rate::numeric * greatest(extract(epoch from now() - m.last_accessed), 0) / 86400
        ),
        4
    ) as current_importance,
    m.access_count,
    m.related_memories,
    m.source_message_id,
    m.last_accessed,
    m.created_at,
    m.expires_at,
    m.tenant_id
from chat.agent_memories as m
where m.expires_at is null or m.expires_at > now();

grant select on chat.agent_memories_current to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

comment on view chat.agent_memories_current is
'Memories that have not expired, with their importance as of now. Marts take their moment as input '
'and do not read it.';
comment on column chat.agent_memories_current.id is 'The memory.';
comment on column chat.agent_memories_current.agent_id is 'Agent who remembers.';
comment on column chat.agent_memories_current.memory_type is 'What is remembered.';
comment on column chat.agent_memories_current.content is 'As in agent_memories.';
comment on column chat.agent_memories_current.importance is '0 to 1 when last recalled.';
comment on column chat.agent_memories_current.current_importance is
'0 to 1 now: importance x exp(-decay_rate x days since last_accessed), 4 decimals.';
comment on column chat.agent_memories_current.access_count is 'Times it was recalled.';
comment on column chat.agent_memories_current.related_memories is 'As in agent_memories.';
comment on column chat.agent_memories_current.source_message_id is 'As in agent_memories.';
comment on column chat.agent_memories_current.last_accessed is 'When it was last recalled, or made.';
comment on column chat.agent_memories_current.created_at is 'When it was made.';
comment on column chat.agent_memories_current.expires_at is 'In the future, or null: never.';
comment on column chat.agent_memories_current.tenant_id is 'Tenant; ''default'' without tenants.';


create table chat.memory_consolidations (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    source_memories uuid[] not null check (
        cardinality(source_memories) > 0 and array_position(source_memories, null) is null
    ),
    consolidated_memory_id uuid,
    consolidation_type varchar(20) not null
    check (consolidation_type in ('merge', 'summarize', 'abstract')),
    tokens_saved integer check (tokens_saved >= 0),
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.memory_consolidations enable row level security;

-- An agent's consolidations in order; the key to agents.
create index idx_consolidations_agent on chat.memory_consolidations (agent_id, created_at);
-- What a memory was made from; the key to memories.
create index idx_consolidations_memory
on chat.memory_consolidations (consolidated_memory_id) where consolidated_memory_id is not null;
-- What became of a memory: @>.
create index idx_consolidations_sources on chat.memory_consolidations using gin (source_memories);

grant select, insert, update on chat.memory_consolidations to agentbooks_loader;
grant select on chat.memory_consolidations to agentbooks_refresher, authenticated;
grant select, delete on chat.memory_consolidations to agentbooks_retention;
grant select, insert, update, delete on chat.memory_consolidations to service_role;

comment on table chat.memory_consolidations is 'One row per making of one memory out of others.';
comment on column chat.memory_consolidations.id is 'The consolidation.';
comment on column chat.memory_consolidations.agent_id is 'Agent whose memories they are.';
comment on column chat.memory_consolidations.source_memories is
'Memories that went in, at least one; they may be gone. No key: a data test looks for lost ones.';
comment on column chat.memory_consolidations.consolidated_memory_id is
'Memory that came out; null if none was stored or it is gone.';
comment on column chat.memory_consolidations.consolidation_type is 'How they were put together.';
comment on column chat.memory_consolidations.tokens_saved is 'Null if not counted.';
comment on column chat.memory_consolidations.created_at is 'When it was done.';
comment on column chat.memory_consolidations.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.memory_consolidations.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
