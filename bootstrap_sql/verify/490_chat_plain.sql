-- Raises where a key, a policy, a trigger or a function is missing; triggers of partitions are copies.

select 1 / (count(*) = 6)::int as every_key
from pg_constraint
where connamespace = 'chat'::regnamespace
and confdeltype = 'n'
and conparentid = 0;

select 1 / (count(*) = 15)::int as every_policy
from pg_policies
where schemaname = 'chat'
and policyname in (
    'workspaces_own_or_joined',
    'chat_channels_of_workspaces',
    'agent_datastores_of_agents',
    'chat_messages_read',
    'chat_messages_write',
    'chat_messages_v2_read',
    'chat_messages_v2_write',
    'chat_messages_v2_edit',
    'message_versions_read',
    'agent_memories_of_agents',
    'memory_consolidations_of_agents',
    'agent_states_of_agents',
    'state_checkpoints_of_agents',
    'state_transitions_of_agents',
    'context_snapshots_of_agents'
);

select 1 / (count(*) = 23)::int as every_trigger
from pg_trigger
where tgname in (
    'users_updated',
    'agents_updated',
    'workspaces_updated',
    'workspace_members_updated',
    'chat_channels_updated',
    'datastores_updated',
    'agent_datastores_updated',
    'conversation_sessions_updated',
    'chat_messages_updated',
    'chat_messages_v2_updated',
    'message_versions_updated',
    'agent_memories_updated',
    'memory_consolidations_updated',
    'agent_states_updated',
    'state_checkpoints_updated',
    'state_transitions_updated',
    'context_snapshots_updated',
    'context_templates_updated',
    'chat_messages_v2_session_open',
    'chat_messages_v2_version',
    'chat_messages_v2_deleted',
    'message_versions_session',
    'agent_states_closed'
)
and tgrelid::regclass::text like 'chat.%'
and tgparentid = 0;

select 1 / has_function_privilege(
    'agentbooks_loader', 'chat.record_message_counts(uuid[])', 'execute'
)::int;
