drop function chat.restore_checkpoint(uuid, uuid, text, text, uuid);
drop function chat.make_checkpoint(uuid, text, text, text, timestamptz, uuid);
drop function chat.set_agent_state(
    uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid
);
drop table chat.state_transitions;
drop table chat.state_checkpoints;
drop table chat.agent_states;
