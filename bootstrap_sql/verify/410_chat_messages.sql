-- Raises where a column, an index, a partition, a policy or a right is missing.

select
    id, conversation_id, user_id, agent_id, started_at, ended_at, last_active, message_count,
    total_tokens_used, tool_calls_count, session_state, interruption_context, status, tenant_id,
    change_id
from chat.conversation_sessions
where false;

select
    id, channel_id, sender_agent_id, sender_user_id, content, metadata, created_at, tenant_id,
    change_id
from chat.chat_messages
where false;

select
    id, version, conversation_id, session_id, parent_message_id, channel_id, sender_user_id,
    sender_agent_id, role, content, metadata, context, tools, memory_refs, state_snapshot_id,
    audit, created_at, updated_at, tenant_id, change_id
from chat.chat_messages_v2
where false;

select
    id, session_id, message_id, version_number, content, metadata, changed_by, change_reason,
    created_at, tenant_id, change_id
from chat.message_versions
where false;

select
    'chat.idx_sessions_conversation'::regclass,
    'chat.idx_sessions_user'::regclass,
    'chat.idx_sessions_agent'::regclass,
    'chat.idx_sessions_open'::regclass,
    'chat.idx_sessions_change_id'::regclass,
    'chat.idx_chat_messages_channel'::regclass,
    'chat.idx_chat_messages_sender_agent'::regclass,
    'chat.idx_chat_messages_sender_user'::regclass,
    'chat.idx_chat_messages_change_id'::regclass,
    'chat.idx_messages_id'::regclass,
    'chat.idx_messages_session'::regclass,
    'chat.idx_messages_conversation'::regclass,
    'chat.idx_messages_channel'::regclass,
    'chat.idx_messages_sender_user'::regclass,
    'chat.idx_messages_sender_agent'::regclass,
    'chat.idx_messages_parent'::regclass,
    'chat.idx_messages_state_snapshot'::regclass,
    'chat.idx_messages_content_gin'::regclass,
    'chat.idx_messages_metadata_gin'::regclass,
    'chat.idx_messages_change_id'::regclass,
    'chat.idx_message_versions_message'::regclass,
    'chat.idx_message_versions_changed_by'::regclass,
    'chat.is_message_content(jsonb)'::regprocedure,
    'chat.is_message_metadata(jsonb)'::regprocedure,
    'chat.is_message_context(jsonb)'::regprocedure;

select 1 / (count(*) = 1)::int as every_policy
from pg_policies
where schemaname = 'chat'
and policyname in (
    'conversation_sessions_own'
);

select
    'chat.chat_messages_v2_default'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'chat.chat_messages_v2', 'insert')::int,
    1 / (not has_table_privilege('agentbooks_loader', 'chat.chat_messages_v2_default', 'insert'))::int,
    1 / (
        not has_column_privilege('authenticated', 'chat.chat_messages_v2', 'sender_user_id', 'update')
    )::int;
