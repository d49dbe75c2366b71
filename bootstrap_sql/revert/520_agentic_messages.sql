drop table agentic.conversation_history;
