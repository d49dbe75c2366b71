-- What the application's own screens show. Each reader sees the rows that the tables' policies show
-- them; a role above the policies sees all tenants at once.

set local role agentbooks_owner;

-- Hooks and calls are counted apart: joined in one query they would multiply. They come after the
-- trace has started, give or take a clock: older months need no look.
create view traceability.trace_summary with (security_invoker = true) as
select
    t.id,
    t.correlation_id,
    t.session_id,
    t.prompt_text,
    t.started_at,
    t.completed_at,
    t.duration_ms,
    t.status,
    t.success,
    r.agent_selected,
    r.confidence_score as routing_confidence,
    h.hook_count,
    e.endpoint_count,
    t.error_type
from traceability.execution_traces as t
left join lateral (
    select d.agent_selected, d.confidence_score
    from traceability.agent_routing_decisions as d
    where d.trace_id = t.id
    order by d.created_at desc, d.id desc
    limit 1
) as r on true
cross join lateral (
    select count(*) as hook_count
    from traceability.hook_executions as x
    where x.trace_id = t.id and x.started_at >= t.started_at - interval '1 day'
) as h
cross join lateral (
    select count(*) as endpoint_count
    from traceability.endpoint_calls as c
    where c.trace_id = t.id and c.started_at >= t.started_at - interval '1 day'
) as e;

comment on view traceability.trace_summary is
'One row per trace, with its latest routing decision.';
comment on column traceability.trace_summary.id is 'The trace.';
comment on column traceability.trace_summary.correlation_id is
'The id that travels between services.';
comment on column traceability.trace_summary.session_id is 'The user''s session.';
comment on column traceability.trace_summary.prompt_text is
'What was asked, on roots only. Personal data.';
comment on column traceability.trace_summary.started_at is 'Start.';
comment on column traceability.trace_summary.completed_at is
'End; null while it runs, or if never set.';
comment on column traceability.trace_summary.duration_ms is 'Milliseconds; null if not measured.';
comment on column traceability.trace_summary.status is
'in_progress, completed, failed or cancelled.';
comment on column traceability.trace_summary.success is 'The verdict; null until there is one.';
comment on column traceability.trace_summary.agent_selected is
'The agent; null if it was not routed.';
comment on column traceability.trace_summary.routing_confidence is
'How sure the router was, 0 to 1; null if it was not routed.';
comment on column traceability.trace_summary.hook_count is 'Hooks that ran, 0 if none.';
comment on column traceability.trace_summary.endpoint_count is 'Endpoint calls, 0 if none.';
comment on column traceability.trace_summary.error_type is
'Class of the error; null if there was none.';


-- A trace that was routed to an agent twice is one execution of it.
create view traceability.agent_performance with (security_invoker = true) as
with decisions as (
    select
        d.agent_selected,
        avg(d.confidence_score) as avg_routing_confidence,
        count(distinct d.pattern_id) as patterns_used,
        max(d.created_at) as last_used_at
    from traceability.agent_routing_decisions as d
    group by d.agent_selected
),

executions as (
    select distinct d.agent_selected, t.id, t.success, t.duration_ms
    from traceability.agent_routing_decisions as d
    join traceability.execution_traces as t on d.trace_id = t.id
),

outcomes as (
    select
        x.agent_selected,
        count(*) as total_executions,
        count(*) filter (where x.success) as successful_executions,
        count(*) filter (where not x.success) as failed_executions,
        count(x.success) as judged_executions,
        avg(x.duration_ms) as avg_duration_ms,
        percentile_cont(0.95) within group (order by x.duration_ms) as p95_duration_ms
    from executions as x
    group by x.agent_selected
)

select
    o.agent_selected as agent_name,
    o.total_executions,
    o.successful_executions,
    o.failed_executions,
    100.0 * o.successful_executions / nullif(o.judged_executions, 0) as success_rate_pct,
    o.avg_duration_ms,
    o.p95_duration_ms,
    d.avg_routing_confidence,
    d.patterns_used,
    d.last_used_at
from outcomes as o
join decisions as d on o.agent_selected = d.agent_selected;

comment on view traceability.agent_performance is 'One row per agent that a trace was routed to.';
comment on column traceability.agent_performance.agent_name is 'The agent, as routing names it.';
comment on column traceability.agent_performance.total_executions is
'Traces routed to it, judged or not.';
comment on column traceability.agent_performance.successful_executions is 'Those judged a success.';
comment on column traceability.agent_performance.failed_executions is 'Those judged a failure.';
comment on column traceability.agent_performance.success_rate_pct is
'Successes by judged executions, 0 to 100 (other rates go to 1). Null if none was judged.';
comment on column traceability.agent_performance.avg_duration_ms is
'Mean over measured executions; null if none was.';
comment on column traceability.agent_performance.p95_duration_ms is
'95th percentile over measured executions, interpolated; null if none was.';
comment on column traceability.agent_performance.avg_routing_confidence is
'Mean over routing decisions, 0 to 1.';
comment on column traceability.agent_performance.patterns_used is
'Different patterns that led to it; gone ones are not counted.';
comment on column traceability.agent_performance.last_used_at is 'Latest decision for it.';


-- Uses are looked up pattern by pattern: who asks for the best ten pays for ten, not for the log.
create view traceability.pattern_effectiveness with (security_invoker = true) as
select
    p.id,
    p.pattern_hash,
    p.intent_classification,
    p.keywords,
    p.agent_sequence,
    p.success_count,
    p.failure_count,
    p.total_usage_count,
    p.success_rate,
    p.avg_duration_ms,
    p.confidence_score,
    p.last_used_at,
    u.usage_30d,
    u.avg_match_score,
    case
        when u.usage_30d > u.usage_30d_before * 1.1 then 'increasing'
        when u.usage_30d < u.usage_30d_before * 0.9 then 'decreasing'
        else 'stable'
    end as recent_trend
from traceability.success_patterns as p
cross join lateral (
    select
        avg(l.match_score) as avg_match_score,
        count(*) filter (where l.used_at >= now() - interval '30 days') as usage_30d,
        count(*) filter (
            where l.used_at >= now() - interval '60 days' and l.used_at < now() - interval '30 days'
        ) as usage_30d_before
    from traceability.pattern_usage_log as l
    where l.pattern_id = p.id
) as u;

comment on view traceability.pattern_effectiveness is
'One row per pattern. Order by success_rate desc nulls last, total_usage_count desc. An '
'application user''s recent figures come from own traces alone, the counters from all.';
comment on column traceability.pattern_effectiveness.id is 'The pattern.';
comment on column traceability.pattern_effectiveness.pattern_hash is
'The writer''s fingerprint of it.';
comment on column traceability.pattern_effectiveness.intent_classification is
'What the prompt asked for; null if not classified.';
comment on column traceability.pattern_effectiveness.keywords is 'Words that matching compares.';
comment on column traceability.pattern_effectiveness.agent_sequence is
'Agents in order; empty where the pattern is one of tools.';
comment on column traceability.pattern_effectiveness.success_count is 'Uses that succeeded, ever.';
comment on column traceability.pattern_effectiveness.failure_count is 'Uses that failed, ever.';
comment on column traceability.pattern_effectiveness.total_usage_count is
'Uses with a known outcome, ever.';
comment on column traceability.pattern_effectiveness.success_rate is '0 to 1; null if unused.';
comment on column traceability.pattern_effectiveness.avg_duration_ms is
'Running mean in milliseconds; null if never measured.';
comment on column traceability.pattern_effectiveness.confidence_score is
'The writer''s trust in it, 0 to 1; null if not rated.';
comment on column traceability.pattern_effectiveness.last_used_at is
'Last use; null if never used.';
comment on column traceability.pattern_effectiveness.usage_30d is
'Logged uses in the last 30 days, judged or not.';
comment on column traceability.pattern_effectiveness.avg_match_score is
'Mean over logged uses, 0 to 1; null if none was scored. Old logs are gone.';
comment on column traceability.pattern_effectiveness.recent_trend is
'Uses of the last 30 days against the 30 before: increasing or decreasing beyond 10 %, else '
'stable.';


-- error_patterns holds no single errors: recent ones are counted where they happened.
create view traceability.error_analysis with (security_invoker = true) as
with occurrences as (
    select t.tenant_id, t.error_type, t.started_at
    from traceability.execution_traces as t
    where t.error_type is not null and t.started_at >= now() - interval '7 days'
    union all
    select h.tenant_id, h.error_type, h.started_at
    from traceability.hook_executions as h
    where h.error_type is not null and h.started_at >= now() - interval '7 days'
    union all
    select c.tenant_id, c.error_type, c.started_at
    from traceability.endpoint_calls as c
    where c.error_type is not null and c.started_at >= now() - interval '7 days'
),

recent as (
    select
        o.tenant_id,
        o.error_type,
        count(*) filter (where o.started_at >= now() - interval '24 hours') as occurrences_24h,
        count(*) as occurrences_7d
    from occurrences as o
    group by o.tenant_id, o.error_type
)

select
    p.error_type,
    p.error_category,
    p.severity,
    p.error_count,
    p.last_occurrence_at,
    p.affected_agents,
    p.resolution_pattern,
    p.resolution_success_rate,
    p.prevention_strategies,
    coalesce(r.occurrences_24h, 0) as occurrences_24h,
    coalesce(r.occurrences_7d, 0) as occurrences_7d
from traceability.error_patterns as p
left join recent as r on p.tenant_id = r.tenant_id and p.error_type = r.error_type;

comment on view traceability.error_analysis is
'One row per kind of error. Kinds of one type share its recent counts: do not add those up.';
comment on column traceability.error_analysis.error_type is 'Class of the error; not unique here.';
comment on column traceability.error_analysis.error_category is
'network, validation, system or integration; null if not sorted.';
comment on column traceability.error_analysis.severity is
'critical, high, medium or low; null if not rated.';
comment on column traceability.error_analysis.error_count is 'Times this kind happened, ever.';
comment on column traceability.error_analysis.last_occurrence_at is 'Last time this kind happened.';
comment on column traceability.error_analysis.affected_agents is
'Agents that met it; null if none is known.';
comment on column traceability.error_analysis.resolution_pattern is
'What helped; null if nothing is known to.';
comment on column traceability.error_analysis.resolution_success_rate is
'Share of attempts in which that helped, 0 to 1; null if never tried.';
comment on column traceability.error_analysis.prevention_strategies is
'How to avoid it; null if not known.';
comment on column traceability.error_analysis.occurrences_24h is
'Errors of this type in traces, hooks and endpoint calls that started in the last 24 hours.';
comment on column traceability.error_analysis.occurrences_7d is 'The same for the last 7 days.';


create view traceability.dashboard_summary with (security_invoker = true) as
with traces as (
    select
        count(*) as total_traces,
        count(*) filter (where t.status = 'completed') as completed_traces,
        count(*) filter (where t.status = 'completed' and t.success) as successful_traces,
        percentile_cont(0.5) within group (order by t.duration_ms) as median_duration_ms,
        percentile_cont(0.95) within group (order by t.duration_ms) as p95_duration_ms
    from traceability.execution_traces as t
),

patterns as (
    select
        count(*) as total_patterns,
        count(*) filter (
            where p.success_rate >= 0.8 and p.total_usage_count >= 5
        ) as high_quality_patterns,
        avg(p.success_rate) as avg_pattern_success_rate
    from traceability.success_patterns as p
),

agents as (
    select d.agent_selected, count(*) as decisions
    from traceability.agent_routing_decisions as d
    where d.created_at >= now() - interval '30 days'
    group by d.agent_selected
),

active as (
    select
        count(*) as active_agents,
        (array_agg(a.agent_selected order by a.decisions desc, a.agent_selected))[1]
            as most_used_agent
    from agents as a
),

errors as (
    select t.error_type
    from traceability.execution_traces as t
    where t.error_type is not null and t.started_at >= now() - interval '24 hours'
    union all
    select h.error_type
    from traceability.hook_executions as h
    where h.error_type is not null and h.started_at >= now() - interval '24 hours'
    union all
    select c.error_type
    from traceability.endpoint_calls as c
    where c.error_type is not null and c.started_at >= now() - interval '24 hours'
),

recent_errors as (
    select count(*) as errors_24h, count(distinct e.error_type) as unique_error_types
    from errors as e
)

select
    t.total_traces,
    t.completed_traces,
    t.successful_traces,
    100.0 * t.successful_traces / nullif(t.completed_traces, 0) as overall_success_rate,
    p.total_patterns,
    p.high_quality_patterns,
    p.avg_pattern_success_rate,
    a.active_agents,
    a.most_used_agent,
    e.errors_24h,
    e.unique_error_types,
    t.median_duration_ms,
    t.p95_duration_ms
from traces as t
cross join patterns as p
cross join active as a
cross join recent_errors as e;

comment on view traceability.dashboard_summary is 'One row: how the system does.';
comment on column traceability.dashboard_summary.total_traces is 'Traces that are still kept.';
comment on column traceability.dashboard_summary.completed_traces is 'Those that completed.';
comment on column traceability.dashboard_summary.successful_traces is
'Those that completed and were judged a success.';
comment on column traceability.dashboard_summary.overall_success_rate is
'Successful by completed traces, 0 to 100: an unjudged one counts as no success. Null if none '
'completed.';
comment on column traceability.dashboard_summary.total_patterns is
'Patterns, inactive ones included.';
comment on column traceability.dashboard_summary.high_quality_patterns is
'Those with a success rate of 0.8 or more over at least 5 uses.';
comment on column traceability.dashboard_summary.avg_pattern_success_rate is
'Plain mean over used patterns, 0 to 1 (overall_success_rate goes to 100); null if none was used.';
comment on column traceability.dashboard_summary.active_agents is
'Agents routed to in the last 30 days.';
comment on column traceability.dashboard_summary.most_used_agent is
'The one routed to most in that time, ties by name; null if none was.';
comment on column traceability.dashboard_summary.errors_24h is
'Errors in traces, hooks and endpoint calls that started in the last 24 hours.';
comment on column traceability.dashboard_summary.unique_error_types is
'Different types among those.';
comment on column traceability.dashboard_summary.median_duration_ms is
'Median over measured traces, interpolated; null if none was.';
comment on column traceability.dashboard_summary.p95_duration_ms is
'95th percentile over measured traces, interpolated; null if none was.';

grant select on
    traceability.trace_summary,
    traceability.agent_performance,
    traceability.pattern_effectiveness,
    traceability.error_analysis,
    traceability.dashboard_summary
to agentbooks_refresher, service_role, authenticated;
