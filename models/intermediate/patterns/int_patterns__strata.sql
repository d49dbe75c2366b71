-- One row per pattern and the agent and domain it was used by.
{{ config(
    materialized="incremental",
    key="pattern_id",
    indexes=[{"columns": ["patterns_strata_key"], "unique": true}, {"columns": ["pattern_id"]}],
) }}

with daily as (
    select * from {{ ref("int_patterns__daily") }}
    where {{ in_dirty("pattern_id") }}
),

-- A run has one day, so that no run is counted under two.
counted as (
    select
        pattern_id,
        agent_domain_key,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes,
        sum(runs)::bigint as runs,
        sum(run_successes)::bigint as run_successes
    from daily
    group by pattern_id, agent_domain_key
)

select
    {{ surrogate_key(["pattern_id", "agent_domain_key"]) }} as patterns_strata_key,
    *
from counted
