-- Raises where a key, a policy or a trigger is missing.

select 1 / (count(*) = 2)::int as all_keys
from pg_constraint
where
    connamespace = 'traceability'::regnamespace
    and conname in (
        'execution_traces_correlation_id_key', 'agent_routing_decisions_pattern_id_fkey'
    );

select 1 / (count(*) = 16)::int as all_policies
from pg_policies
where schemaname = 'traceability';

select 1 / (count(*) = 8)::int as all_triggers
from pg_trigger as t
join pg_class as c on t.tgrelid = c.oid
where
    c.relnamespace = 'traceability'::regnamespace
    and not c.relispartition
    and t.tgname = 'trg_' || c.relname || '_updated_at';

select 1 / count(*) from pg_trigger
where tgrelid = 'traceability.success_patterns'::regclass and tgname = 'success_patterns_buried';
