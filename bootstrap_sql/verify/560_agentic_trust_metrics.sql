-- Raises where the function is missing, or closed to those who call it.

select 1 / has_function_privilege(
    'agentbooks_loader', 'agentic.derive_trust_metrics()', 'execute'
)::int;
