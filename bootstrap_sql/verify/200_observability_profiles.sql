-- Raises where a column, a policy or a right is missing, and where a job could read settings.

select id, email, name, role, avatar_url, settings, created_at, updated_at, tenant_id, change_id
from observability.profiles
where false;

select
    id, user_id, name, description, nodes, edges, tags, is_template, is_deployed, deployed_at,
    created_at, updated_at, tenant_id, change_id
from observability.workflows
where false;

select
    1 / (count(*) = 2)::int as both_policies
from pg_policies
where schemaname = 'observability' and policyname in ('profiles_own', 'workflows_own');

select
    1 / has_column_privilege(
        'agentbooks_refresher', 'observability.profiles', 'email', 'select'
    )::int,
    1 / (not has_column_privilege(role, 'observability.profiles', 'settings', 'select'))::int
from (
    values
    ('agentbooks_loader'), ('agentbooks_refresher'), ('agentbooks_retention'), ('bi_reader'), ('anon')
) as others (role);
