-- One row per pattern.
{{ config(
    materialized="incremental",
    key="pattern_id",
    indexes=[{"columns": ["patterns_totalled_key"], "unique": true}, {"columns": ["pattern_id"]}],
) }}

with compared as (
    select
        *,
        weight > 0 and run_month = max(run_month) filter (where weight > 0) over (partition by pattern_id)
            as is_newest
    from {{ ref("int_patterns__compared") }}
    where {{ in_dirty("pattern_id") }}
),

totals as (
    select
        pattern_id,
        sum(uses)::bigint as uses,
        sum(judged_uses)::bigint as judged_uses,
        sum(successes)::bigint as successes,
        sum(compared_runs)::bigint as compared_runs,
        sum(compared_by_task)::bigint as compared_by_task,
        sum(weight) as weight,
        sum(weighted_rate) as weighted_rate,
        sum(weighted_other_rate) as weighted_other_rate,
        sum(spread) as spread,
        sum(other_spread) as other_spread,
        sum(null_variance) as null_variance,
        sum(priced_weight) as priced_weight,
        sum(weighted_usd_saved) as weighted_usd_saved,
        sum(timed_weight) as timed_weight,
        sum(weighted_ms_saved) as weighted_ms_saved,
        sum(weight) filter (where is_newest) as newest_weight,
        sum(weighted_rate - weighted_other_rate) filter (where is_newest) as newest_gain,
        sum(null_variance) filter (where is_newest) as newest_null_variance
    from compared
    group by pattern_id
)

select
    {{ surrogate_key(["pattern_id"]) }} as patterns_totalled_key,
    *
from totals
