-- One row per learned pattern: a sequence of agents or of tools.
select
    id as pattern_id,
    pattern_hash,
    tenant_id as tenant_key,
    domain,
    intent_classification as intent,
    agent_sequence,
    tool_sequence,
    array_to_string(
        case when cardinality(tool_sequence) > 0 then tool_sequence else agent_sequence end,
        ' → '
    ) as pattern,
    is_active,
    created_at
from {{ source("traceability", "success_patterns") }}
