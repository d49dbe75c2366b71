drop table agentic.agent_sessions;
drop table agentic.agents;
drop table agentic.users;
drop function agentic.is_capability_set(jsonb);
drop schema agentic;
