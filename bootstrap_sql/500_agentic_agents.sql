-- Agents by persona, the users they serve, and the sessions in which they work. Agents are never
-- deleted but switched off (is_active): audit rows name them and outlive everything else here.

set local role agentbooks_owner;

create schema agentic;
comment on schema agentic is 'Source system agentic: agents with trust levels, and what they decided.';

grant usage on schema agentic to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

create function agentic.is_capability_set(capabilities jsonb) returns boolean
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
return case jsonb_typeof(capabilities)
    when 'object' then not jsonb_path_exists(capabilities, 'strict $.keyvalue() ? (@.key == "")')
    when 'array' then not jsonb_path_exists(
        capabilities, 'strict $[*] ? (@.type() != "string" || @ == "")'
    )
    else false
end;

comment on function agentic.is_capability_set(jsonb) is
'True for an object keyed by capability, or an array of their names; false for all else, null too.';

revoke all on function agentic.is_capability_set(jsonb) from public;
grant execute on function agentic.is_capability_set(jsonb) to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

-- The people whom sessions belong to. Only the key matters to analytics: the rest stays in here.
create table agentic.users (
    user_id uuid not null default gen_random_uuid() primary key,
    email text not null unique check (email <> ''),
    full_name text,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table agentic.users enable row level security;

create policy users_select_own on agentic.users
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on agentic.users to agentbooks_loader;
grant select on agentic.users to agentbooks_refresher, authenticated;
grant select, delete on agentic.users to agentbooks_retention;
grant select, insert, update, delete on agentic.users to service_role;

comment on table agentic.users is
'One row per person. Deleting one keeps the sessions and takes the person out of them.';
comment on column agentic.users.user_id is 'Key of the user.';
comment on column agentic.users.email is 'Personal data: staging does not read it.';
comment on column agentic.users.full_name is 'Personal data; null when not given.';
comment on column agentic.users.is_active is 'False when the account is closed.';
comment on column agentic.users.created_at is 'When the account was opened.';
comment on column agentic.users.tenant_id is 'Tenant whose user this is.';
comment on column agentic.users.change_id is 'Transaction that last wrote the row.';

-- One row per persona with what it may do; sessions and audit rows point here.
create table agentic.agents (
    agent_id uuid not null default gen_random_uuid() primary key,
    name varchar(100) not null check (name <> ''),
    persona_type varchar(50) not null check (
        persona_type in (
            'developer', 'qa', 'architect', 'security', 'compliance', 'documentation',
            'orchestrator', 'assistant'
        )
    ),
    capabilities jsonb not null,
    config jsonb,
    version integer not null default 1 check (version >= 1),
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint agents_capabilities_shape check (agentic.is_capability_set(capabilities)),
    constraint agents_config_is_object check (jsonb_typeof(config) = 'object')
);

alter table agentic.agents enable row level security;

-- The list of agents to choose from.
create index agents_is_active_persona_type on agentic.agents (is_active, persona_type);
-- Which agents have a capability: ?, ?| and @>.
create index agents_capabilities on agentic.agents using gin (capabilities);

create policy agents_select_tenant on agentic.agents
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()));

grant select, insert, update on agentic.agents to agentbooks_loader, service_role;
grant select on agentic.agents to agentbooks_refresher, agentbooks_retention, authenticated;

comment on table agentic.agents is
'One row per agent. No role may delete one: set is_active to false. An update raises version by one.';
comment on column agentic.agents.agent_id is 'Key of the agent.';
comment on column agentic.agents.name is 'Name shown to people; not unique.';
comment on column agentic.agents.persona_type is 'The agent''s trade.';
comment on column agentic.agents.capabilities is
'An object keyed by capability (its settings as value), or an array of capability names; may be empty.';
comment on column agentic.agents.config is 'An object of settings, free in its keys; null without any.';
comment on column agentic.agents.version is
'Optimistic lock: a writer sends the version it has read plus one; another is refused (AB409). '
'Never write version + 1: that reads nothing and loses updates.';
comment on column agentic.agents.is_active is 'False for an agent that was retired.';
comment on column agentic.agents.created_at is 'When the agent was set up.';
comment on column agentic.agents.updated_at is 'When the row was last written; set by a trigger.';
comment on column agentic.agents.tenant_id is 'Tenant whose agent this is.';
comment on column agentic.agents.change_id is 'Transaction that last wrote the row.';

-- One stretch of work of an agent for a user. A session outlives its decisions (two years): deleting
-- it takes decisions, metrics and messages along, so they are expired by their own dates.
create table agentic.agent_sessions (
    session_id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references agentic.agents on delete cascade,
    user_id uuid,
    trust_level integer not null default 0 check (trust_level between 0 and 4),
    context jsonb,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    session_state varchar(20) not null default 'active' check (
        session_state in ('active', 'paused', 'completed', 'terminated')
    ),
    metadata jsonb,
    version integer not null default 1 check (version >= 1),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint agent_sessions_context_is_object check (jsonb_typeof(context) = 'object'),
    constraint agent_sessions_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
    constraint agent_sessions_started_at_readable check (
        started_at >= timestamptz '2000-01-01 00:00:00+00'
        and started_at < timestamptz '2100-01-01 00:00:00+00'
    ),
    constraint agent_sessions_ended_at_readable check (
        ended_at < timestamptz '2100-01-01 00:00:00+00'
    ),
    constraint agent_sessions_ends_after_start check (ended_at >= started_at),
    constraint agent_sessions_open_has_no_end check (
        session_state in ('completed', 'terminated') or ended_at is null
    )
);

alter table agentic.agent_sessions enable row level security;

-- An agent's history, newest first; serves the foreign key to agents too.
create index agent_sessions_agent_id_started_at on agentic.agent_sessions (agent_id, started_at);
-- A user's sessions; serves the policies and the foreign key to users.
create index agent_sessions_user_id on agentic.agent_sessions (user_id);
-- What an agent is working on now: a handful of rows among all.
create index agent_sessions_active on agentic.agent_sessions (agent_id) where session_state = 'active';
-- Sessions whose context contains something: @>.
create index agent_sessions_context on agentic.agent_sessions using gin (context jsonb_path_ops);
-- Finds what changed since the last refresh.
create index agent_sessions_change_id on agentic.agent_sessions
using brin (change_id) with (autosummarize = on);

create policy agent_sessions_select_own on agentic.agent_sessions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

-- Retention may not delete: decisions go with their session, and are kept for longer than messages.
grant select, insert, update on agentic.agent_sessions to agentbooks_loader;
grant select on agentic.agent_sessions to
    agentbooks_refresher, agentbooks_retention, authenticated;
grant select, insert, update, delete on agentic.agent_sessions to service_role;

comment on table agentic.agent_sessions is
'One row per session. Delete none before its last decision has left: the children go with it. '
'An update raises version by one.';
comment on column agentic.agent_sessions.session_id is 'Key of the session.';
comment on column agentic.agent_sessions.agent_id is 'Agent that works in it.';
comment on column agentic.agent_sessions.user_id is
'User it works for; null when there was none, or when the user was erased.';
comment on column agentic.agent_sessions.trust_level is
'Autonomy granted in this session: 0 observed, 1 assisted, 2 supervised, 3 delegated, 4 autonomous.';
comment on column agentic.agent_sessions.context is
'An object, free in its keys: what the agent carries from step to step. Null without any.';
comment on column agentic.agent_sessions.started_at is 'When the session began.';
comment on column agentic.agent_sessions.ended_at is
'When it ended or expired; decisions and messages of a later time are refused (AB410). Set by a '
'trigger where a writer closes an open session and gives no time. Null while open, and for a session '
'that was already closed when it was loaded, without its time: nothing is refused then.';
comment on column agentic.agent_sessions.session_state is
'Active and paused sessions are open; terminated ones were stopped or expired.';
comment on column agentic.agent_sessions.metadata is 'An object, free in its keys; null without any.';
comment on column agentic.agent_sessions.version is
'Optimistic lock: a writer sends the version it has read plus one; another is refused (AB409).';
comment on column agentic.agent_sessions.tenant_id is 'Tenant whose session this is.';
comment on column agentic.agent_sessions.change_id is 'Transaction that last wrote the row.';
