-- Raises where a key, the policy or a trigger is missing.

select 1 / (count(*) = 6)::int as all_keys
from pg_constraint
where
    connamespace = 'observability'::regnamespace
    and conparentid = 0
    and conname in (
        'traces_execution_id_key', 'traces_user_id_fkey', 'cost_records_user_id_fkey',
        'cost_records_workflow_id_fkey', 'usage_logs_user_id_fkey', 'usage_logs_workflow_id_fkey'
    );

select 1 / (count(*) = 1)::int as the_policy
from pg_policies
where schemaname = 'observability' and policyname = 'spans_in_own_traces';

select 1 / (count(*) = 7)::int as all_triggers
from pg_trigger as t
join pg_class as c on t.tgrelid = c.oid
where
    c.relnamespace = 'observability'::regnamespace
    and not c.relispartition
    and t.tgname = c.relname || '_updated';
