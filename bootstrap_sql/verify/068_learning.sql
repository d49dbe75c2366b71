-- Raises where a table, a key or a right is missing.

select month, runs_seen, learned_at
from ops.learned_months
where false;

select learned_id, month, kind, occurrences, successes, failures, duration_ms, agents
from ops.learned_counts
where false;

select pattern_id, pattern, domain, uses, judged_uses, successes, reason, change_id
from ops.pruned_patterns
where false;

select
    1 / has_table_privilege('agentbooks_loader', 'ops.learned_counts', 'insert, delete')::int,
    1 / has_table_privilege('agentbooks_refresher', 'ops.pruned_patterns', 'select')::int,
    1 / (not has_table_privilege('agentbooks_retention', 'ops.pruned_patterns', 'delete'))::int;
