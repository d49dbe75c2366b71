drop function agentic.derive_trust_metrics();
