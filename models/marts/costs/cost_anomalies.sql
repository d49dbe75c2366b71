-- One row per usage_date, scope_kind and scope_key whose cost departs from what its own history says.
{{ config(
    materialized="incremental",
    period="usage_date",
    indexes=[{"columns": ["usage_date", "cost_anomalies_key"], "unique": true}],
) }}

{#- How far each step looks back, in days; a day's verdict needs all of them, one after the other. -#}
{%- set level_days, typical_days, season_days, scale_days, idle_days = 7, 28, 56, 56, 28 %}
{%- set history_days = scale_days + season_days + typical_days + idle_days - 1 %}
{%- set outage_days = 7 %}
{%- set in_scope = "partition by scope_kind, scope_key order by usage_date" %}
{%- set before = "range between interval '%s days' preceding and interval '1 day' preceding" %}

{{ dirtied_by([ref("cost_daily"), ref("cost_by_scope_daily")],
    "select (keys ->> 'day')::date + shift from changes cross join generate_series(-" ~ outage_days
    ~ ", " ~ history_days ~ ") as shift where (keys ->> 'day')::date + shift <= greatest("
    ~ "(keys ->> 'day')::date, (select max(usage_date) from " ~ ref("cost_by_scope_daily") ~ "))") }}

with costs as not materialized (
    select * from {{ ref("cost_daily") }}
),

scope_costs as not materialized (
    select * from {{ ref("cost_by_scope_daily") }}
),

totals as not materialized (
    select * from scope_costs
    where scope_kind = 'total'
),

-- A day without any cost is judged once later days have some; a day is over once a later one has.
observed_days as (
    select
        usage_date - shift as usage_date,
        bool_or(shift > 0) as is_over
    from totals
    cross join generate_series(0, {{ outage_days }}) as shift
    where {{ in_dirty_days("usage_date - shift") }}
    group by usage_date - shift
),

judged_days as materialized (
    select
        *,
        greatest({{ var("anomaly_min_usd") }}, {{ var("anomaly_min_share") }} * (
            select percentile_disc(0.5) within group (order by totals.cost_usd)
            from totals
            where
                totals.usage_date
                between observed_days.usage_date - {{ typical_days }} and observed_days.usage_date - 1
        )) as worth_usd
    from observed_days
),

judged_range as (
    select
        min(usage_date) - {{ history_days }} as from_date,
        max(usage_date) as to_date,
        min(worth_usd) as worth_usd
    from judged_days
),

-- A scope that has never cost what a departure must be worth need not be looked at.
judged_scopes as (
    select
        scope_kind,
        scope_key
    from scope_costs
    where
        usage_date between (select from_date from judged_range) and (select to_date from judged_range)
    group by scope_kind, scope_key
    having max(cost_usd) >= (select worth_usd from judged_range)
),

history as (
    select
        scope_costs.scope_kind,
        scope_costs.scope_key,
        scope_costs.usage_date,
        greatest(scope_costs.cost_usd, 0) as cost_usd,
        coalesce(
            lead(scope_costs.usage_date) over (
                partition by scope_costs.scope_kind, scope_costs.scope_key
                order by scope_costs.usage_date
            ),
            'infinity'
        ) as next_date
    from scope_costs
    inner join judged_scopes
        on
            scope_costs.scope_kind = judged_scopes.scope_kind
            and scope_costs.scope_key = judged_scopes.scope_key
    where
        scope_costs.usage_date
        between (select from_date from judged_range) and (select to_date from judged_range)
),

-- Days without a row are days of zero, until a scope has been idle for so long that it counts as gone.
spine as (
    select
        history.scope_kind,
        history.scope_key,
        history.usage_date + idle as usage_date,
        extract(isodow from history.usage_date + idle) as weekday,
        case when idle = 0 then history.cost_usd else 0 end as cost_usd
    from history
    cross join generate_series(0, {{ idle_days - 1 }}) as idle
    where history.usage_date + idle < history.next_date
),

recent as (
    select
        *,
        array_agg(cost_usd) over level_window as level_costs,
        array_agg(nullif(cost_usd, 0)) over typical_window as typical_costs,
        count(nullif(cost_usd, 0)) over scale_window as days_with_cost,
        greatest(cost_usd, max(cost_usd) over scale_window) as highest_usd
    from spine
    window
        level_window as ({{ in_scope }} {{ before | format(level_days) }}),
        typical_window as ({{ in_scope }} {{ before | format(typical_days) }}),
        scale_window as ({{ in_scope }} {{ before | format(scale_days) }})
),

-- Each weekday stands once in the level's window, so growth and rhythm shift every ratio of a weekday alike.
levels as materialized (
    select
        scope_kind,
        scope_key,
        usage_date,
        weekday,
        cost_usd,
        days_with_cost,
        highest_usd,
        {{ percentile_of("0.5", "level_costs") }} as level_usd,
        {{ percentile_of("0.5", "typical_costs") }} / 5 as offset_usd
    from recent
),

ratios as (
    select
        *,
        ln((cost_usd + offset_usd) / (level_usd + offset_usd)) as ratio
    from levels
),

seasons as (
    select
        *,
        array_agg(ratio) over (
            partition by scope_kind, scope_key, weekday
            order by usage_date {{ before | format(season_days) }}
        ) as weekday_ratios
    from ratios
),

expectations as materialized (
    select
        scope_kind,
        scope_key,
        usage_date,
        cost_usd,
        days_with_cost,
        highest_usd,
        level_usd,
        offset_usd,
        ratio,
        {{ percentile_of("0.5", "weekday_ratios") }} as expected_ratio
    from seasons
),

scales as (
    select
        *,
        ratio - expected_ratio as residual,
        array_agg(abs(ratio - expected_ratio)) over (
            {{ in_scope }} {{ before | format(scale_days) }}
        ) as usual_residuals
    from expectations
),

-- The 90th percentile stays what it is under a few anomalies, and does not vanish where most days are alike.
scored as materialized (
    select
        scales.scope_kind,
        scales.scope_key,
        scales.usage_date,
        scales.cost_usd as actual_usd,
        judged_days.worth_usd,
        judged_days.is_over,
        greatest(
            (scales.level_usd + scales.offset_usd) * exp(scales.expected_ratio) - scales.offset_usd, 0
        ) as expected_usd,
        scales.residual
        / greatest({{ percentile_of("0.9", "scales.usual_residuals") }} / 1.645, 0.05) as score
    from scales
    inner join judged_days on scales.usage_date = judged_days.usage_date
    where
        scales.days_with_cost >= {{ scale_days // 2 }}
        and scales.highest_usd >= judged_days.worth_usd
),

anomalies as (
    select
        *,
        actual_usd - expected_usd as deviation_usd
    from scored
    where
        abs(score) >= {{ var("anomaly_min_score") }}
        and abs(actual_usd - expected_usd) >= worth_usd
        and (is_over or score > 0)
),

-- One value for each day, so that what a day's cost is made of is read once: the planner expects a single
-- anomaly, and would read it again for each, thousands of times when all of a company stands still.
anomalous_days as materialized (
    select
        usage_date,
        jsonb_object_agg(scope_kind || ' ' || scope_key, true) as scopes
    from anomalies
    group by usage_date
),

-- What the day's cost is made of, against the same weekday of the four weeks before.
parts as (
    select
        anomalous_days.usage_date,
        scopes.scope_kind,
        scopes.scope_key,
        components.dimension,
        components.component_key,
        coalesce(sum(costs.cost_usd) filter (where weeks_before = 0), 0) as actual_usd,
        coalesce(sum(costs.cost_usd) filter (where weeks_before > 0), 0) as usual_usd
    from anomalous_days
    cross join generate_series(0, 4) as weeks_before
    inner join costs on anomalous_days.usage_date - 7 * weeks_before = costs.usage_date
    cross join lateral (values {{ cost_scopes("costs") }}) as scopes (scope_kind, scope_key)
    cross join lateral (values {{ cost_scopes("costs") }}) as components (dimension, component_key)
    where
        anomalous_days.scopes ? (scopes.scope_kind || ' ' || scopes.scope_key)
        and components.dimension not in ('total', scopes.scope_kind)
    group by
        anomalous_days.usage_date,
        scopes.scope_kind,
        scopes.scope_key,
        components.dimension,
        components.component_key
),

weighed as (
    select
        parts.*,
        anomalies.expected_usd,
        anomalies.deviation_usd,
        coalesce(
            parts.usual_usd / nullif(
                sum(parts.usual_usd) over (
                    partition by
                        parts.usage_date, parts.scope_kind, parts.scope_key, parts.dimension
                ),
                0
            ),
            0
        ) as usual_share
    from parts
    inner join anomalies
        on
            parts.usage_date = anomalies.usage_date
            and parts.scope_kind = anomalies.scope_kind
            and parts.scope_key = anomalies.scope_key
),

explanations as (
    select
        *,
        (actual_usd - usual_share * expected_usd) / deviation_usd as explained_share
    from weighed
),

-- A part that moves no more than its size would have it explains nothing.
ranked as materialized (
    select
        *,
        row_number() over (
            partition by usage_date, scope_kind, scope_key
            order by
                explained_share - usual_share desc,
                array_position(array['workflow', 'agent', 'model', 'user'], dimension) asc,
                component_key asc
        ) as place
    from explanations
    where explained_share - usual_share >= 0.1
)

select
    {{ surrogate_key([
        "anomalies.usage_date - date '2000-01-01'", "anomalies.scope_kind", "anomalies.scope_key"
    ]) }} as cost_anomalies_key,
    anomalies.usage_date,
    anomalies.scope_kind,
    anomalies.scope_key,
    anomalies.expected_usd,
    anomalies.actual_usd,
    anomalies.deviation_usd,
    anomalies.score,
    case when anomalies.score > 0 then 'high' else 'low' end as direction,
    ranked.dimension as explained_by,
    ranked.component_key as explained_by_key,
    ranked.explained_share,
    coalesce(scope_costs.calls_unpriced, 0) as calls_unpriced
from anomalies
left join scope_costs
    on
        anomalies.usage_date = scope_costs.usage_date
        and anomalies.scope_kind = scope_costs.scope_kind
        and anomalies.scope_key = scope_costs.scope_key
left join ranked
    on
        anomalies.usage_date = ranked.usage_date
        and anomalies.scope_kind = ranked.scope_kind
        and anomalies.scope_key = ranked.scope_key
        and ranked.place = 1
