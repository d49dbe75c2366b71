-- One row per learned pattern: a sequence of agents or of tools.
select
    id as pattern_id,
    pattern_hash,
    tenant_id as tenant_key,
    domain,
    intent_classification as intent,
    agent_sequence,
    tool_sequence,
    -- A learned sequence may stand anywhere in a run, one that was recorded is the whole of it.
    case when pattern_hash like 'learned:%' then '… ' else '' end
    || array_to_string(
        case when cardinality(tool_sequence) > 0 then tool_sequence else agent_sequence end,
        ' → '
    )
    || case when pattern_hash like 'learned:%' then ' …' else '' end as pattern,
    pattern_hash like 'learned:%' as is_learned,
    success_count,
    failure_count,
    is_active,
    created_at
from {{ source("traceability", "success_patterns") }}
