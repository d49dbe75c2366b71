-- Schema observability: what a workflow engine records of its runs, and what they cost. First the
-- people and their workflows, which everything else points to. The engine writes times without a zone
-- and means UTC; its sessions run in UTC, so that they arrive here as they were meant.

set local role agentbooks_owner;

create schema observability;
comment on schema observability is
'Traces, spans and cost records of a workflow engine. Written by the engine and by the loader.';

grant usage on schema observability to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

-- Settings hold keys of other services in clear text. So every role but the application server and
-- the row's own user gets its rights column by column, and no index copies them.
create table observability.profiles (
    id uuid not null default gen_random_uuid() primary key,
    email text not null unique,
    name text,
    role text not null default 'user' check (role in ('admin', 'user', 'viewer')),
    avatar_url text,
    settings jsonb default '{}' check (jsonb_typeof(settings) = 'object'),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table observability.profiles enable row level security;

create policy profiles_own on observability.profiles
for all to authenticated
using (
    tenant_id = (select ops.caller_tenant_id()) and id = (select ops.caller_user_uuid())
)
with check (
    tenant_id = (select ops.caller_tenant_id()) and id = (select ops.caller_user_uuid())
);

grant select (id, email, name, role, avatar_url, created_at, updated_at, tenant_id, change_id)
on observability.profiles to agentbooks_loader, agentbooks_refresher, agentbooks_retention;
grant insert, update on observability.profiles to agentbooks_loader;
grant delete on observability.profiles to agentbooks_retention;
grant select, insert, update, delete on observability.profiles to service_role;
-- Not role: nobody makes himself an admin.
grant select, update (name, avatar_url, settings) on observability.profiles to authenticated;

comment on table observability.profiles is
'One row per user of the engine. On Supabase id is the login''s id; there is no key to auth.users.';
comment on column observability.profiles.id is 'The user, as tokens name it.';
comment on column observability.profiles.email is 'Login address; personal data.';
comment on column observability.profiles.name is 'Display name; personal data.';
comment on column observability.profiles.role is
'Role within the application: admin, user or viewer. No database role.';
comment on column observability.profiles.avatar_url is 'Address of a picture; personal data.';
comment on column observability.profiles.settings is
'Preferences, and under key observability the API keys of other services in clear text. Never '
'staged; readable for service_role and the user alone.';
comment on column observability.profiles.created_at is 'When the user signed up.';
comment on column observability.profiles.updated_at is 'When the row was last changed.';
comment on column observability.profiles.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.profiles.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- A run names its workflow by text, so that unsaved ones run too: see traces.workflow_id.
create table observability.workflows (
    id uuid not null default gen_random_uuid() primary key,
    user_id uuid not null references observability.profiles (id) on delete cascade,
    name text not null,
    description text,
    nodes jsonb not null check (jsonb_typeof(nodes) in ('array', 'object')),
    edges jsonb not null check (jsonb_typeof(edges) in ('array', 'object')),
    tags text[],
    is_template boolean default false,
    is_deployed boolean default false,
    deployed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table observability.workflows enable row level security;

-- A user's own workflows; the cascade from profiles.
create index idx_workflows_user_id on observability.workflows (user_id);

create policy workflows_own on observability.workflows
for all to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
)
with check (
    tenant_id = (select ops.caller_tenant_id())
    and user_id = (select ops.caller_user_uuid())
);

grant select, insert, update on observability.workflows to agentbooks_loader;
grant select on observability.workflows to agentbooks_refresher;
grant select, delete on observability.workflows to agentbooks_retention;
grant select, insert, update, delete on observability.workflows to service_role;
-- Not change_id: a row with an old one would never be counted.
grant
    select,
    insert (
        id, user_id, name, description, nodes, edges, tags, is_template, is_deployed, deployed_at,
        created_at, updated_at, tenant_id
    ),
    update
on observability.workflows to authenticated;

comment on table observability.workflows is 'One row per saved workflow.';
comment on column observability.workflows.id is
'Written as text into traces.workflow_id, without a key between them.';
comment on column observability.workflows.user_id is 'Its owner. Deleting the profile deletes it.';
comment on column observability.workflows.name is 'As the owner calls it; not unique.';
comment on column observability.workflows.description is 'Free text; null if none was given.';
comment on column observability.workflows.nodes is 'Steps of the graph, as the editor stores them.';
comment on column observability.workflows.edges is
'Links between steps, as the editor stores them.';
comment on column observability.workflows.tags is 'Free words; null and empty both mean none.';
comment on column observability.workflows.is_template is 'Offered to others as a starting point.';
comment on column observability.workflows.is_deployed is 'Can be called from outside.';
comment on column observability.workflows.deployed_at is 'Last deployment; null if there was none.';
comment on column observability.workflows.created_at is 'When it was first saved.';
comment on column observability.workflows.updated_at is 'When the row was last changed.';
comment on column observability.workflows.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column observability.workflows.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
