-- A trace of the agent framework whose agent and job spans were added to the calls below them, which their
-- tokens repeat: it would cost two or three times what it did.
with spans as (
    select * from {{ ref("stg_raaf__spans") }}
    where num_nonnulls(input_tokens, output_tokens, total_tokens) > 0
),

runs as (
    select * from {{ ref("agent_runs") }}
    where source_system = 'raaf'
),

unsettled_days as (
    {{ unsettled_days() }}
),

levels as (
    select
        trace_id,
        count(*) as llm_calls,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        row_number() over (partition by trace_id order by kind = 'llm' desc) as level
    from spans
    where kind in ('llm', 'agent')
    group by trace_id, kind
),

unsettled_runs as (
    select spans.trace_id
    from spans
    inner join unsettled_days
        on (spans.started_at at time zone 'UTC')::date = unsettled_days.usage_date
)

select
    runs.run_id,
    runs.llm_calls,
    levels.llm_calls as calls_of_one_level,
    runs.input_tokens,
    levels.input_tokens as input_tokens_of_one_level,
    runs.output_tokens,
    levels.output_tokens as output_tokens_of_one_level
from runs
left join levels on runs.run_id = levels.trace_id and levels.level = 1
where
    runs.run_id not in (select * from unsettled_runs)
    and runs.run_date not in (select * from unsettled_days)
    and (
        runs.llm_calls <> coalesce(levels.llm_calls, 0)
        or runs.input_tokens is distinct from levels.input_tokens
        or runs.output_tokens is distinct from levels.output_tokens
    )
