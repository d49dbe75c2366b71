-- Raises where the fold or a right on it is missing, or a success counts for nothing.

select
    'ops.trust_by_window(ops.trust_state, ops.trust_policy, ops.trust_day, timestamptz)'::regprocedure,
    'ops.trust_checkpoint(text, text)'::regprocedure,
    'ops.trust_move(ops.trust_state, ops.trust_policy, timestamptz, int, text, text)'::regprocedure,
    'ops.trust_state_of(text, text)'::regprocedure,
    1 / has_function_privilege(
        'agentbooks_refresher', 'ops.checkpoint_trust(regclass, date)', 'execute'
    )::int;

select target, decisions_daily_key, agent_domain_key, as_of_date, state from ops.trust_checkpoints
where false;

select 1 / (
    (
        ops.trust_fold(
            null,
            row(
                'verify', '{1}', '{-1}', '{3}', '{-3}', '{3}', '{0}', '{0}', 0, 1,
                null, null, null, null, null
            )::ops.trust_policy,
            row('2026-01-01', 1, 1, 0, 0, null, 0)::ops.trust_day,
            '{1}'::smallint[],
            '{2026-01-01 00:00+00}'::timestamptz[]
        )
    ).evidence = 1
)::int;
