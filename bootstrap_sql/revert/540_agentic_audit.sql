drop function agentic.audit_first_broken_link(uuid);
drop function agentic.redact_audit_entry(uuid, uuid, text, text[]);
drop function agentic.refuse_audit_change();
drop function agentic.chain_audit_entry();
drop function agentic.audit_row_hash(agentic.agent_audit_log);
drop function agentic.audit_commitments(agentic.agent_audit_log);
drop function agentic.redacted_details(jsonb);
drop table agentic.audit_chain_heads;
drop table agentic.agent_audit_log;
