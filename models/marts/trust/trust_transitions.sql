-- One row per change of level of an agent_key in a domain.
{{ config(
    materialized="incremental",
    key="trust_progression_key",
    indexes=[
        {"columns": ["trust_transitions_key"], "unique": true},
        {"columns": ["trust_progression_key"]},
        {"columns": ["changed_at"]},
    ],
) }}

with folded as (
    select * from {{ ref("int_trust__folded") }}
    where {{ in_dirty("decisions_daily_key") }}
)

select
    {{ surrogate_key(["folded.decisions_daily_key", "changes.change_number"]) }}
        as trust_transitions_key,
    folded.decisions_daily_key as trust_progression_key,
    folded.agent_key,
    folded.domain,
    folded.agent_domain_key,
    changes.changed_at,
    changes.from_level,
    changes.to_level,
    changes.rule,
    changes.evidence
from folded
cross join lateral unnest((folded.state).changes) with ordinality
    as changes (changed_at, from_level, to_level, rule, evidence, change_number)
