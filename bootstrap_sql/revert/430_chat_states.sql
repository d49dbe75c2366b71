drop function chat.set_agent_state(
    uuid, text, text, jsonb, jsonb, jsonb, jsonb, text, text, jsonb, jsonb, uuid
);
drop table chat.state_transitions;
drop table chat.state_checkpoints;
drop table chat.agent_states;
