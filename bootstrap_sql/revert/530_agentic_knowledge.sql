drop table agentic.agent_knowledge;
