-- Raises where a table, a function or a right is missing.

select
    'ops.protected_values(regclass, text, regclass, tid, bigint, text, int)'::regprocedure,
    'ops.protected_places(regclass)'::regprocedure,
    'ops.protection_refusals()'::regprocedure,
    'ops.replace_file(text, text, bigint, text, jsonb, bigint)'::regprocedure,
    'ops.note_loose_files(text, date, text[])'::regprocedure,
    'ops.is_held_since(text, bigint)'::regprocedure,
    'ops.forget_loose_file(text)'::regprocedure,
    'ops.loose_files'::regclass,
    1 / has_table_privilege('agentbooks_loader', 'ops.protected_columns', 'select')::int,
    1 / (not has_table_privilege('agentbooks_loader', 'ops.encryption_keys', 'insert'))::int,
    1 / has_function_privilege('agentbooks_loader', 'ops.note_encryption_key(text, text)', 'execute')::int,
    1 / has_function_privilege(
        'agentbooks_retention',
        'ops.rewrite_values(regclass, text, regclass, tid[], xid[], text[], bigint)',
        'execute'
    )::int,
    1 / ('decision_id' = any(ops.row_identity('agentic.agent_decisions')))::int,
    1 / (count(*) filter (where p.table_name = 'agentic.agent_decisions') > 0)::int
from ops.protected_columns as p;
