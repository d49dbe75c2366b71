-- Raises where a function or a right to it is missing, or where a message keeps what varies.

select 1 / (
    traceability.error_message_pattern('no row 7 of "a"') = 'no row <n> of <value>'
)::int;

select
    1 / has_function_privilege(
        'agentbooks_loader',
        'traceability.forget_learned_uses(uuid[], timestamptz, timestamptz)',
        'execute'
    )::int,
    1 / (not has_function_privilege(
        'authenticated',
        'traceability.forget_learned_uses(uuid[], timestamptz, timestamptz)',
        'execute'
    ))::int;
