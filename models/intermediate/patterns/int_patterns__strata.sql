-- One row per pattern and the agent and domain it was used by.
{{ config(
    materialized="incremental",
    key="pattern_id",
    indexes=[{"columns": ["patterns_strata_key"], "unique": true}, {"columns": ["pattern_id"]}],
) }}

{{ dirtied_by([ref("int_pattern_uses__resolved")], "select keys ->> 'pattern_id' from changes") }}

with pattern_uses as (
    select * from {{ ref("int_pattern_uses__resolved") }}
    where {{ in_dirty("pattern_id::text") }}
),

counted as (
    select
        pattern_id::text as pattern_id,
        agent_domain_key,
        count(*) as uses,
        count(is_success) as judged_uses,
        count(*) filter (where is_success) as successes,
        -- A run that used a pattern more than once is one run.
        count(distinct run_id) filter (where is_run_success is not null) as runs,
        count(distinct run_id) filter (where is_run_success) as run_successes
    from pattern_uses
    group by pattern_id, agent_domain_key
)

select
    {{ surrogate_key(["pattern_id", "agent_domain_key"]) }} as patterns_strata_key,
    *
from counted
