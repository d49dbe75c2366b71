-- Raises where a column, an index, a policy or a right is missing, and where a job could read keys.

select
    id, username, full_name, email, avatar_url, created_at, updated_at, tenant_id, change_id
from chat.users
where false;

select
    id, user_id, name, description, system_instructions, assistant_instructions, personality,
    avatar_url, active, created_at, updated_at, tenant_id, change_id
from chat.agents
where false;

select
    id, name, owner_user_id, created_at, context_window_size, context_window_token_limit,
    tenant_id, change_id
from chat.workspaces
where false;

select
    id, workspace_id, agent_id, team_id, user_id, role, added_by_user_id, created_at, tenant_id,
    change_id
from chat.workspace_members
where false;

select
    id, workspace_id, name, topic, created_at, last_message_at, tenant_id, change_id
from chat.chat_channels
where false;

select
    id, user_id, name, description, type, config, similarity_metric, similarity_threshold,
    max_results, created_at, updated_at, tenant_id, change_id
from chat.datastores
where false;

select
    id, agent_id, datastore_id, created_at, tenant_id, change_id
from chat.agent_datastores
where false;

select
    'chat.idx_agents_user'::regclass,
    'chat.idx_workspaces_owner'::regclass,
    'chat.idx_workspace_members_workspace'::regclass,
    'chat.idx_workspace_members_user'::regclass,
    'chat.idx_workspace_members_agent'::regclass,
    'chat.idx_workspace_members_added_by'::regclass,
    'chat.idx_chat_channels_workspace'::regclass,
    'chat.idx_datastores_user'::regclass,
    'chat.idx_agent_datastores_datastore'::regclass;

select 1 / (count(*) = 4)::int as every_policy
from pg_policies
where schemaname = 'chat'
and policyname in (
    'users_own',
    'agents_own',
    'workspace_members_own',
    'datastores_own'
);

select
    1 / has_column_privilege('agentbooks_refresher', 'chat.datastores', 'type', 'select')::int,
    1 / (not has_column_privilege(role, 'chat.datastores', 'config', 'select'))::int
from unnest(array['agentbooks_loader', 'agentbooks_refresher', 'agentbooks_retention', 'bi_reader', 'anon'])
    as jobs (role);
