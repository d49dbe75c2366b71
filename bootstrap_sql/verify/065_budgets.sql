-- Raises where the table, a column or a right on it is missing.

select
    scope_kind, scope_key, period, amount_usd, thresholds, valid_from, valid_to, set_by, set_at
from ops.budgets
where false;

select 1 / (
    has_table_privilege('service_role', 'ops.budgets', 'insert')
    and has_table_privilege('agentbooks_refresher', 'ops.budgets', 'select')
    and ops.ascends('{0.5, 0.8}')
)::int;
