-- Schema chat: agents that talk with people in sessions and channels, remember, and carry a state.
-- First whom and what everything else points to. Only agents, users and channels matter to
-- analytics; the rest stands here because the keys need it.

set local role agentbooks_owner;

create schema chat;
comment on schema chat is
'Source system chat: sessions, messages, memories and states of conversing agents.';

grant usage on schema chat to
    agentbooks_loader, agentbooks_refresher, agentbooks_retention, service_role, authenticated;

-- On Supabase the login stands in auth.users; here the one table holds what other tables need.
create table chat.users (
    id uuid not null default gen_random_uuid() primary key,
    username text unique check (username <> ''),
    full_name text,
    email text unique check (email <> ''),
    avatar_url text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.users enable row level security;

create policy users_own on chat.users
for all to authenticated
using (tenant_id = (select ops.caller_tenant_id()) and id = (select ops.caller_user_uuid()))
with check (tenant_id = (select ops.caller_tenant_id()) and id = (select ops.caller_user_uuid()));

grant select, insert, update on chat.users to agentbooks_loader;
grant select on chat.users to agentbooks_refresher;
grant select, delete on chat.users to agentbooks_retention;
grant select, insert, update, delete on chat.users to service_role;
grant select, update (username, full_name, avatar_url) on chat.users to authenticated;

comment on table chat.users is
'One row per person. Deleting one deletes what they own and wrote: agents, workspaces, sessions, '
'messages. To keep those, blank the personal columns instead.';
comment on column chat.users.id is 'The user, as tokens name it.';
comment on column chat.users.username is
'Unique over all tenants; null if none was chosen. Personal data.';
comment on column chat.users.full_name is 'Null if not given. Personal data.';
comment on column chat.users.email is 'Unique over all tenants; null if not given. Personal data.';
comment on column chat.users.avatar_url is 'Address of a picture; null without. Personal data.';
comment on column chat.users.created_at is 'When the account was opened.';
comment on column chat.users.updated_at is 'When the row was last changed.';
comment on column chat.users.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.users.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Whoever writes for a user here is an agent.
create table chat.agents (
    id uuid not null default gen_random_uuid() primary key,
    user_id uuid not null references chat.users on delete cascade,
    name text not null check (btrim(name) <> ''),
    description text not null,
    system_instructions text,
    assistant_instructions text,
    personality text,
    avatar_url text,
    active boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.agents enable row level security;

-- A user's agents; the key to users and the policy.
create index idx_agents_user on chat.agents (user_id);

create policy agents_own on chat.agents
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_uuid()));

grant select, insert, update on chat.agents to agentbooks_loader;
grant select on chat.agents to agentbooks_refresher, authenticated;
grant select, delete on chat.agents to agentbooks_retention;
grant select, insert, update, delete on chat.agents to service_role;

comment on table chat.agents is
'One row per agent. Deleting one deletes its sessions, messages, memories and states.';
comment on column chat.agents.id is 'The agent.';
comment on column chat.agents.user_id is 'Its owner. Deleting the owner deletes the agent.';
comment on column chat.agents.name is 'As the owner calls it; not unique.';
comment on column chat.agents.description is 'What it is for; may be empty.';
comment on column chat.agents.system_instructions is 'Its system prompt; null without.';
comment on column chat.agents.assistant_instructions is 'Further prompt; null without.';
comment on column chat.agents.personality is 'How it is to speak; null without.';
comment on column chat.agents.avatar_url is 'Address of a picture; null without.';
comment on column chat.agents.active is 'False until the owner switches it on.';
comment on column chat.agents.created_at is 'When it was set up.';
comment on column chat.agents.updated_at is 'When the row was last changed.';
comment on column chat.agents.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.agents.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- People and agents share channels in a workspace.
create table chat.workspaces (
    id uuid not null default gen_random_uuid() primary key,
    name text not null check (char_length(name) > 0),
    owner_user_id uuid not null references chat.users on delete cascade,
    created_at timestamptz not null default now(),
    context_window_size integer not null default 20 check (context_window_size > 0),
    context_window_token_limit integer not null default 8000 check (context_window_token_limit > 0),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.workspaces enable row level security;

-- A user's own workspaces; the key to users and the policy.
create index idx_workspaces_owner on chat.workspaces (owner_user_id);

grant select, insert, update on chat.workspaces to agentbooks_loader;
grant select on chat.workspaces to agentbooks_refresher, authenticated;
grant select, delete on chat.workspaces to agentbooks_retention;
grant select, insert, update, delete on chat.workspaces to service_role;

comment on table chat.workspaces is 'One row per workspace.';
comment on column chat.workspaces.id is 'The workspace.';
comment on column chat.workspaces.name is 'As the owner calls it; not unique.';
comment on column chat.workspaces.owner_user_id is
'Whoever set it up. Hand it over before deleting them: the workspace goes with its owner.';
comment on column chat.workspaces.created_at is 'When it was set up.';
comment on column chat.workspaces.context_window_size is 'Messages that an agent is shown, at most.';
comment on column chat.workspaces.context_window_token_limit is
'Tokens that an agent is shown, at most.';
comment on column chat.workspaces.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.workspaces.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- A member is a user, an agent or a team. Teams are not modelled: their ids stand alone.
create table chat.workspace_members (
    id uuid not null default gen_random_uuid() primary key,
    workspace_id uuid not null references chat.workspaces on delete cascade,
    agent_id uuid references chat.agents on delete cascade,
    team_id uuid,
    user_id uuid references chat.users on delete cascade,
    role text not null default 'member' check (role in ('member', 'moderator')),
    added_by_user_id uuid,
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    constraint workspace_members_one_member check (num_nonnulls(agent_id, team_id, user_id) = 1)
);

alter table chat.workspace_members enable row level security;

-- Members of a workspace; the key to workspaces.
create index idx_workspace_members_workspace on chat.workspace_members (workspace_id);
-- Workspaces of a user; the key to users and the policy.
create index idx_workspace_members_user on chat.workspace_members (user_id) where user_id is not null;
-- Workspaces of an agent; the key to agents.
create index idx_workspace_members_agent
on chat.workspace_members (agent_id) where agent_id is not null;
-- The key to whoever added them.
create index idx_workspace_members_added_by
on chat.workspace_members (added_by_user_id) where added_by_user_id is not null;

-- Own memberships only: a policy that looked up the workspace would look up itself.
create policy workspace_members_own on chat.workspace_members
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_uuid()));

grant select, insert, update on chat.workspace_members to agentbooks_loader;
grant select on chat.workspace_members to agentbooks_refresher, authenticated;
grant select, delete on chat.workspace_members to agentbooks_retention;
grant select, insert, update, delete on chat.workspace_members to service_role;

comment on table chat.workspace_members is 'One row per membership.';
comment on column chat.workspace_members.id is 'The membership.';
comment on column chat.workspace_members.workspace_id is 'Workspace that was joined.';
comment on column chat.workspace_members.agent_id is 'The member, if it is an agent; else null.';
comment on column chat.workspace_members.team_id is 'The member, if it is a team; else null. No key.';
comment on column chat.workspace_members.user_id is 'The member, if it is a person; else null.';
comment on column chat.workspace_members.role is 'member or moderator; no database role.';
comment on column chat.workspace_members.added_by_user_id is
'Who let them in; null if not recorded or since deleted.';
comment on column chat.workspace_members.created_at is 'When they joined.';
comment on column chat.workspace_members.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.workspace_members.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create table chat.chat_channels (
    id uuid not null default gen_random_uuid() primary key,
    workspace_id uuid not null references chat.workspaces on delete cascade,
    name text not null check (char_length(name) > 0),
    topic text,
    created_at timestamptz not null default now(),
    last_message_at timestamptz,
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.chat_channels enable row level security;

-- Channels of a workspace; the key to workspaces.
create index idx_chat_channels_workspace on chat.chat_channels (workspace_id);

grant select, insert, update on chat.chat_channels to agentbooks_loader;
grant select on chat.chat_channels to agentbooks_refresher, authenticated;
grant select, delete on chat.chat_channels to agentbooks_retention;
grant select, insert, update, delete on chat.chat_channels to service_role;

comment on table chat.chat_channels is 'One row per channel of a workspace.';
comment on column chat.chat_channels.id is 'The channel.';
comment on column chat.chat_channels.workspace_id is 'Workspace it belongs to.';
comment on column chat.chat_channels.name is 'As its members call it; not unique.';
comment on column chat.chat_channels.topic is 'What it is about; null if not said.';
comment on column chat.chat_channels.created_at is 'When it was opened.';
comment on column chat.chat_channels.last_message_at is
'As the application last set it; null before the first message.';
comment on column chat.chat_channels.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.chat_channels.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


-- Where agents look things up. The configuration holds keys of other services in clear text, so that
-- no job reads it.
create table chat.datastores (
    id uuid not null default gen_random_uuid() primary key,
    user_id uuid not null references chat.users on delete cascade,
    name text not null,
    description text not null,
    type text not null check (type in ('pinecone', 'getzep')),
    config jsonb not null check (jsonb_typeof(config) = 'object'),
    similarity_metric text not null default 'cosine'
    check (similarity_metric in ('cosine', 'euclidean', 'dot')),
    similarity_threshold numeric(5, 4) not null default 0.7
    check (similarity_threshold between 0 and 1),
    max_results integer not null default 5 check (max_results > 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint
);

alter table chat.datastores enable row level security;

-- A user's datastores; the key to users and the policy.
create index idx_datastores_user on chat.datastores (user_id);

create policy datastores_own on chat.datastores
for select to authenticated
using (tenant_id = (select ops.caller_tenant_id()) and user_id = (select ops.caller_user_uuid()));

grant select (
    id, user_id, name, description, type, similarity_metric, similarity_threshold, max_results,
    created_at, updated_at, tenant_id, change_id
) on chat.datastores to agentbooks_loader, agentbooks_refresher, agentbooks_retention;
grant insert, update on chat.datastores to agentbooks_loader;
grant delete on chat.datastores to agentbooks_retention;
grant select, insert, update, delete on chat.datastores to service_role;
grant select on chat.datastores to authenticated;

comment on table chat.datastores is 'One row per vector store that a user has connected.';
comment on column chat.datastores.id is 'The datastore.';
comment on column chat.datastores.user_id is 'Its owner. Deleting the owner deletes it.';
comment on column chat.datastores.name is 'As the owner calls it; not unique.';
comment on column chat.datastores.description is 'What is in it; may be empty.';
comment on column chat.datastores.type is 'The service it runs on.';
comment on column chat.datastores.config is
'Object with address and API key in clear text. Never staged; readable for service_role and the '
'owner alone.';
comment on column chat.datastores.similarity_metric is 'How the service compares.';
comment on column chat.datastores.similarity_threshold is 'Least similarity of a hit, 0 to 1.';
comment on column chat.datastores.max_results is 'Hits that an agent is shown, at most.';
comment on column chat.datastores.created_at is 'When it was connected.';
comment on column chat.datastores.updated_at is 'When the row was last changed.';
comment on column chat.datastores.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.datastores.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';


create table chat.agent_datastores (
    id uuid not null default gen_random_uuid() primary key,
    agent_id uuid not null references chat.agents on delete cascade,
    datastore_id uuid not null references chat.datastores on delete cascade,
    created_at timestamptz not null default now(),
    tenant_id text not null default ops.caller_tenant_id(),
    change_id bigint not null default pg_current_xact_id()::text::bigint,
    unique (agent_id, datastore_id)
);

alter table chat.agent_datastores enable row level security;

-- Agents that use a datastore; the key to datastores.
create index idx_agent_datastores_datastore on chat.agent_datastores (datastore_id);

grant select, insert, update on chat.agent_datastores to agentbooks_loader;
grant select on chat.agent_datastores to agentbooks_refresher, authenticated;
grant select, delete on chat.agent_datastores to agentbooks_retention;
grant select, insert, update, delete on chat.agent_datastores to service_role;

comment on table chat.agent_datastores is 'One row per datastore that an agent may search.';
comment on column chat.agent_datastores.id is 'The link.';
comment on column chat.agent_datastores.agent_id is 'Agent that searches.';
comment on column chat.agent_datastores.datastore_id is 'Datastore that is searched.';
comment on column chat.agent_datastores.created_at is 'When it was linked.';
comment on column chat.agent_datastores.tenant_id is 'Tenant; ''default'' without tenants.';
comment on column chat.agent_datastores.change_id is
'Transaction that last wrote the row; the refresh finds changes by it.';
