-- What an agent was shown: the context of single messages, and the templates it is built from.

set local role agentbooks_owner;

create table chat.context_snapshots (
    id uuid not null default gen_random_uuid() primary key,
    message_id uuid,
    agent_id uuid references chat.agents on delete cascade,
    snapshot_data jsonb not null check (jsonb_typeof(snapshot_data) in ('object', 'array')),
    total_tokens integer check (total_tokens >= 0),
    compression_ratio numeric(5, 4) check (compression_ratio >= 0),
    segment_count integer check (segment_count >= 0),
    build_time_ms integer check (build_time_ms >= 0),
    optimization_count integer check (optimization_count >= 0),
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.context_snapshots enable row level security;

-- The context of a message.
create index idx_snapshots_message
on chat.context_snapshots (message_id) where message_id is not null;
-- An agent's contexts, newest first; the key to agents.
create index idx_snapshots_agent
on chat.context_snapshots (agent_id, created_at desc) where agent_id is not null;
-- What changed since a refresh.
create index idx_snapshots_change_id
on chat.context_snapshots using brin (change_id) with (autosummarize = on);

grant select, insert, update on chat.context_snapshots to agentbooks_loader;
grant select on chat.context_snapshots to agentbooks_refresher, authenticated;
grant select, delete on chat.context_snapshots to agentbooks_retention;
grant select, insert, update, delete on chat.context_snapshots to service_role;

comment on table chat.context_snapshots is 'One row per context that was built for an agent.';
comment on column chat.context_snapshots.id is 'The snapshot.';
comment on column chat.context_snapshots.message_id is
'Message it was built for, perhaps archived by now; null if for none. No key.';
comment on column chat.context_snapshots.agent_id is 'Agent it was shown to; null if not recorded.';
comment on column chat.context_snapshots.snapshot_data is
'The context, as the application writes it: an object, or an array of segments. Personal data.';
comment on column chat.context_snapshots.total_tokens is 'Its length; null if not counted.';
comment on column chat.context_snapshots.compression_ratio is
'Tokens after compression / tokens before: below 1 is good. Null if not compressed.';
comment on column chat.context_snapshots.segment_count is 'Its segments; null if not counted.';
comment on column chat.context_snapshots.build_time_ms is
'Milliseconds that building it took; null if not measured.';
comment on column chat.context_snapshots.optimization_count is
'Segments that were shortened or left out; null if not counted.';
comment on column chat.context_snapshots.created_at is 'When it was built.';
comment on column chat.context_snapshots.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.context_snapshots.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create function chat.is_context_segments(document jsonb) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $function$
begin
    return coalesce(
        jsonb_typeof(document) = 'array'
        and not document @? '$[*].type() ? (@ != "object")'
        and not document @? '$[*] ? (
            @.type.type() != "string" || !(
                @.type == "system" || @.type == "memory" || @.type == "history"
                || @.type == "tool" || @.type == "knowledge"
            )
        )',
        false
    );
end
$function$;

comment on function chat.is_context_segments(jsonb) is
'Whether a value is an array of objects whose type is system, memory, history, tool or knowledge.';

revoke all on function chat.is_context_segments(jsonb) from public;
grant execute on function chat.is_context_segments(jsonb) to agentbooks_loader, service_role;


create table chat.context_templates (
    id uuid not null default gen_random_uuid() primary key,
    name varchar(100) not null check (name <> ''),
    description text,
    segments jsonb not null check (chat.is_context_segments(segments)),
    variables jsonb check (jsonb_typeof(variables) in ('object', 'array')),
    total_tokens integer check (total_tokens >= 0),
    use_count integer not null default 0 check (use_count >= 0),
    use_cases text[],
    agent_types text[],
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique (tenant_id, name)
);

alter table chat.context_templates enable row level security;

create policy context_templates_tenant on chat.context_templates
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on chat.context_templates to agentbooks_loader;
grant select on chat.context_templates to agentbooks_refresher, authenticated;
grant select, delete on chat.context_templates to agentbooks_retention;
grant select, insert, update, delete on chat.context_templates to service_role;

comment on table chat.context_templates is
'One row per way to build a context. The tenant ''default'' has three; others copy what they want.';
comment on column chat.context_templates.id is 'The template.';
comment on column chat.context_templates.name is 'Unique in the tenant.';
comment on column chat.context_templates.description is 'What it is for; null without.';
comment on column chat.context_templates.segments is
'Array of {type, max_tokens, …} in order; type is required: system, memory, history, tool or '
'knowledge.';
comment on column chat.context_templates.variables is
'What a user of it fills in: names in an array, or an object with their defaults. Null without.';
comment on column chat.context_templates.total_tokens is 'Budget of all segments; null: unlimited.';
comment on column chat.context_templates.use_count is 'Times it was used.';
comment on column chat.context_templates.use_cases is 'Free words; null and {} both mean any.';
comment on column chat.context_templates.agent_types is 'Free words; null and {} both mean any.';
comment on column chat.context_templates.created_at is 'When it was made.';
comment on column chat.context_templates.updated_at is 'When the row was last changed.';
comment on column chat.context_templates.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.context_templates.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';

insert into chat.context_templates (
    name, description, segments, variables, total_tokens, use_cases, agent_types, tenant_id
)
values
    (
        'minimal_assistant',
        'Instructions and the latest turns, nothing else.',
        '[{"type": "system", "max_tokens": 150}, {"type": "history", "max_tokens": 350}]',
        '["agent_name"]',
        500,
        array['short answers'],
        array['assistant'],
        'default'
    ),
    (
        'creative_agent',
        'Room for personality, memories and a longer history.',
        '[
            {"type": "system", "max_tokens": 300},
            {"type": "memory", "max_tokens": 500},
            {"type": "history", "max_tokens": 700}
        ]',
        '["agent_name", "personality"]',
        1500,
        array['writing', 'brainstorming'],
        array['creative'],
        'default'
    ),
    (
        'research_agent',
        'Most of it for knowledge and what tools brought back.',
        '[
            {"type": "system", "max_tokens": 200},
            {"type": "knowledge", "max_tokens": 800},
            {"type": "tool", "max_tokens": 500},
            {"type": "memory", "max_tokens": 200},
            {"type": "history", "max_tokens": 300}
        ]',
        '["agent_name", "topic"]',
        2000,
        array['research', 'analysis'],
        array['research'],
        'default'
    );
