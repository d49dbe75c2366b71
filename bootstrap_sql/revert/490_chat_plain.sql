drop function chat.record_message_counts(uuid[]);

drop trigger agent_states_closed on chat.agent_states;
drop function chat.close_agent_state();

drop trigger message_versions_session on chat.message_versions;
drop function chat.fill_version_session();

drop trigger chat_messages_v2_deleted on chat.chat_messages_v2;
drop function chat.drop_message_versions();

drop trigger chat_messages_v2_version on chat.chat_messages_v2;
drop function chat.keep_message_version();

drop trigger chat_messages_v2_session_open on chat.chat_messages_v2;
drop function chat.refuse_after_session_end();

drop trigger context_templates_updated on chat.context_templates;
drop trigger context_snapshots_updated on chat.context_snapshots;
drop trigger state_transitions_updated on chat.state_transitions;
drop trigger state_checkpoints_updated on chat.state_checkpoints;
drop trigger agent_states_updated on chat.agent_states;
drop trigger memory_consolidations_updated on chat.memory_consolidations;
drop trigger agent_memories_updated on chat.agent_memories;
drop trigger message_versions_updated on chat.message_versions;
drop trigger chat_messages_v2_updated on chat.chat_messages_v2;
drop trigger chat_messages_updated on chat.chat_messages;
drop trigger conversation_sessions_updated on chat.conversation_sessions;
drop trigger agent_datastores_updated on chat.agent_datastores;
drop trigger datastores_updated on chat.datastores;
drop trigger chat_channels_updated on chat.chat_channels;
drop trigger workspace_members_updated on chat.workspace_members;
drop trigger workspaces_updated on chat.workspaces;
drop trigger agents_updated on chat.agents;
drop trigger users_updated on chat.users;

drop policy context_snapshots_of_agents on chat.context_snapshots;
drop policy state_transitions_of_agents on chat.state_transitions;
drop policy state_checkpoints_of_agents on chat.state_checkpoints;
drop policy agent_states_of_agents on chat.agent_states;
drop policy memory_consolidations_of_agents on chat.memory_consolidations;
drop policy agent_memories_of_agents on chat.agent_memories;
drop policy message_versions_read on chat.message_versions;
drop policy chat_messages_v2_edit on chat.chat_messages_v2;
drop policy chat_messages_v2_write on chat.chat_messages_v2;
drop policy chat_messages_v2_read on chat.chat_messages_v2;
drop policy chat_messages_write on chat.chat_messages;
drop policy chat_messages_read on chat.chat_messages;
drop policy agent_datastores_of_agents on chat.agent_datastores;
drop policy chat_channels_of_workspaces on chat.chat_channels;
drop policy workspaces_own_or_joined on chat.workspaces;

alter table chat.state_transitions drop constraint state_transitions_from_state_of_agent;
alter table chat.memory_consolidations drop constraint memory_consolidations_consolidated_memory_id_fkey;
alter table chat.message_versions drop constraint message_versions_changed_by_fkey;
alter table chat.chat_messages_v2 drop constraint chat_messages_v2_state_snapshot_id_fkey;
alter table chat.chat_messages_v2 drop constraint chat_messages_v2_channel_id_fkey;
alter table chat.workspace_members drop constraint workspace_members_added_by_user_id_fkey;
