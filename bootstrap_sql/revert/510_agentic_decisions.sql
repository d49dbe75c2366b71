drop table agentic.trust_metrics;
drop table agentic.agent_decisions;
