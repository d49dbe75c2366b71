-- Raises where a raw table lacks one of its three triggers.

select 1 / (count(*) = 0)::int as every_table_is_captured
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname in (select s.schema_name from ops.raw_schemas as s)
    and c.relowner = 'agentbooks_owner'::regrole
    and c.relkind in ('r', 'p')
    and not c.relispartition
    and n.nspname || '.' || c.relname not in (
        'agentic.agent_audit_log', 'agentic.audit_chain_heads', 'agentic.schema_versions'
    )
    and (
        select count(*)
        from pg_trigger as t
        where t.tgrelid = c.oid
            and t.tgenabled = 'O'
            and t.tgfoid = 'ops.mark_departed_rows()'::regprocedure
    ) <> 3;
