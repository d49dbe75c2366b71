-- What writers call instead of updating counters by hand, what a screen calls to replay a trace,
-- and what retention calls.

set local role agentbooks_owner;

-- The pattern's row is locked first. So two uses cannot both read the old counters, and a trace
-- that reports a use twice counts once, which the partitioned log cannot promise by itself.
create function traceability.record_pattern_usage(
    p_pattern_id uuid,
    p_trace_id uuid,
    p_match_score numeric,
    p_success boolean,
    p_duration_ms int
)
returns uuid
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
    pattern traceability.success_patterns;
    usage_id uuid;
begin
    select * into pattern
    from traceability.success_patterns as p
    where p.id = p_pattern_id
    for update;

    if not found then
        raise exception 'record_pattern_usage: there is no pattern %',
            coalesce(p_pattern_id::text, 'null')
            using errcode = 'no_data_found';
    end if;

    select l.id into usage_id
    from traceability.pattern_usage_log as l
    where l.pattern_id = p_pattern_id and l.trace_id = p_trace_id;

    if found then
        return usage_id;
    end if;

    insert into traceability.pattern_usage_log (
        pattern_id, trace_id, match_score, was_applied, outcome, success,
        expected_duration_ms, actual_duration_ms, tenant_id
    )
    values (
        p_pattern_id,
        p_trace_id,
        p_match_score,
        true,
        case p_success when true then 'success' when false then 'failure' end,
        p_success,
        round(pattern.avg_duration_ms),
        p_duration_ms,
        pattern.tenant_id
    )
    returning id into usage_id;

    if p_success then
        pattern.success_count := pattern.success_count + 1;
    elsif not p_success then
        pattern.failure_count := pattern.failure_count + 1;
    end if;
    pattern.total_usage_count := pattern.success_count + pattern.failure_count;

    -- An unjudged first use has a total of 0: it still is one measurement.
    pattern.avg_duration_ms := coalesce(
        pattern.avg_duration_ms
        + round(
            (p_duration_ms - pattern.avg_duration_ms) / greatest(pattern.total_usage_count, 1), 6
        ),
        p_duration_ms,
        pattern.avg_duration_ms
    );

    update traceability.success_patterns as p
    set
        success_count = pattern.success_count,
        failure_count = pattern.failure_count,
        avg_duration_ms = pattern.avg_duration_ms,
        min_duration_ms = least(p.min_duration_ms, p_duration_ms),
        max_duration_ms = greatest(p.max_duration_ms, p_duration_ms),
        last_used_at = greatest(p.last_used_at, now()),
        is_active = p.is_active and not (
            pattern.total_usage_count >= 5
            and pattern.success_count < 0.7 * pattern.total_usage_count
        )
    where p.id = p_pattern_id;

    return usage_id;
end
$function$;

comment on function traceability.record_pattern_usage(uuid, uuid, numeric, boolean, int) is
'Logs one use of a pattern and brings its counters up to date; returns the use. p_success null: '
'logged, not counted. The same pattern and trace again: nothing changes. A pattern with fewer than '
'0.7 successes after 5 uses becomes inactive.';

revoke all on function traceability.record_pattern_usage(uuid, uuid, numeric, boolean, int)
from public;
grant execute on function traceability.record_pattern_usage(uuid, uuid, numeric, boolean, int) to
    agentbooks_loader, service_role;


create function traceability.record_error_pattern(
    p_error_type text,
    p_category text,
    p_message_pattern text,
    p_severity text,
    p_agent text,
    p_trace_id uuid
)
returns uuid
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    insert into traceability.error_patterns as known (
        error_type, error_category, error_message_pattern, severity, affected_agents,
        example_trace_ids
    )
    values (
        p_error_type,
        p_category,
        p_message_pattern,
        p_severity,
        case when p_agent is not null then array[p_agent] end,
        case when p_trace_id is not null then array[p_trace_id] end
    )
    on conflict (tenant_id, error_type, error_message_pattern) do update
    set
        error_count = known.error_count + 1,
        error_category = coalesce(excluded.error_category, known.error_category),
        severity = coalesce(excluded.severity, known.severity),
        last_occurrence_at = greatest(known.last_occurrence_at, excluded.last_occurrence_at),
        affected_agents = (
            select array_agg(distinct a.agent order by a.agent)
            from unnest(known.affected_agents || excluded.affected_agents) as a (agent)
        ),
        example_trace_ids = case
            when
                cardinality(known.example_trace_ids) >= 10
                or known.example_trace_ids @> excluded.example_trace_ids
                then known.example_trace_ids
            else known.example_trace_ids || excluded.example_trace_ids
        end
    returning id;
end;

comment on function traceability.record_error_pattern(text, text, text, text, text, uuid) is
'Counts one error of the caller''s tenant under its type and message pattern, which it adds if '
'new; returns the kind of error. Null category, severity, agent or trace: keeps what is known. '
'Keeps the first ten traces as examples.';

revoke all on function traceability.record_error_pattern(text, text, text, text, text, uuid)
from public;
grant execute on function traceability.record_error_pattern(text, text, text, text, text, uuid) to
    agentbooks_loader, service_role;


-- Children are found by parent_id, and all of a root's by root_id: shell hooks put a hook's id into
-- parent_id. union, not union all: a circle of parents must end.
create function traceability.get_trace_timeline(p_correlation_id uuid)
returns table (occurred_at timestamptz, event_type text, ref_id uuid, details jsonb)
language sql
stable
set search_path = pg_catalog, pg_temp
begin atomic
    with recursive tree as (
        select t.id, t.correlation_id
        from traceability.execution_traces as t
        where t.correlation_id = p_correlation_id or t.root_id = p_correlation_id
        union
        select child.id, child.correlation_id
        from tree
        join traceability.execution_traces as child on child.parent_id = tree.correlation_id
    ),

    events as (
        select
            t.started_at as occurred_at,
            1 as step,
            'prompt_submitted' as event_type,
            t.id as ref_id,
            jsonb_build_object(
                'correlation_id', t.correlation_id, 'source', t.source, 'prompt_text', t.prompt_text
            ) as details
        from tree
        join traceability.execution_traces as t on t.id = tree.id
        union all
        select
            d.created_at,
            2,
            'agent_routed',
            d.id,
            jsonb_build_object(
                'trace_id', d.trace_id, 'agent_selected', d.agent_selected,
                'confidence_score', d.confidence_score, 'routing_strategy', d.routing_strategy
            )
        from tree
        join traceability.agent_routing_decisions as d on d.trace_id = tree.id
        union all
        select
            h.started_at,
            3,
            'hook_executed',
            h.id,
            jsonb_build_object(
                'trace_id', h.trace_id, 'hook_type', h.hook_type, 'hook_name', h.hook_name,
                'tool_name', h.tool_name, 'status', h.status, 'duration_ms', h.duration_ms
            )
        from tree
        join traceability.hook_executions as h on h.trace_id = tree.id
        union all
        select
            c.started_at,
            4,
            'endpoint_called',
            c.id,
            jsonb_build_object(
                'trace_id', c.trace_id, 'service', c.service, 'method', c.method,
                'endpoint_url', c.endpoint_url, 'status_code', c.status_code, 'success', c.success,
                'duration_ms', c.duration_ms
            )
        from tree
        join traceability.endpoint_calls as c on c.trace_id = tree.id
        union all
        select
            t.completed_at,
            5,
            'execution_completed',
            t.id,
            jsonb_build_object(
                'correlation_id', t.correlation_id, 'status', t.status, 'success', t.success,
                'duration_ms', t.duration_ms, 'error_type', t.error_type
            )
        from tree
        join traceability.execution_traces as t on t.id = tree.id
        where t.completed_at is not null
    )

    select e.occurred_at, e.event_type, e.ref_id, e.details
    from events as e
    order by e.occurred_at, e.step, e.ref_id;
end;

comment on function traceability.get_trace_timeline(uuid) is
'What happened in a trace and in all traces below it, in time order. event_type: prompt_submitted '
'(each trace''s start), agent_routed, hook_executed, endpoint_called, execution_completed (each '
'trace''s end, if it was written). ref_id is the id of the row behind the event.';

revoke all on function traceability.get_trace_timeline(uuid) from public;
grant execute on function traceability.get_trace_timeline(uuid) to
    agentbooks_refresher, service_role, authenticated;


-- Runs in its owner's name, as policies would hide rows from it without an error. A tree of traces
-- goes whole or stays: with an open trace, or one that is too young, no part of it goes. A pattern
-- goes after the last of its uses.
create function traceability.cleanup_old_data(
    p_trace_days int default 90,
    p_usage_days int default 180,
    p_dry_run boolean default true
)
returns table (table_name text, rows bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    trace_cutoff timestamptz;
    usage_cutoff timestamptz;
    pattern_cutoff timestamptz := now() - interval '30 days';
begin
    if p_trace_days is null or p_trace_days not between 1 and 36500
        or p_usage_days is null or p_usage_days not between 1 and 36500 then
        raise exception
            'cleanup_old_data: p_trace_days is %, p_usage_days is %, both must be from 1 to 36500',
            coalesce(p_trace_days::text, 'null'), coalesce(p_usage_days::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    if p_dry_run is null then
        raise exception 'cleanup_old_data: p_dry_run is null, it must be true or false'
            using errcode = 'invalid_parameter_value';
    end if;
    if not p_dry_run and exists (
        select from ops.readers('traceability.execution_traces')
        union all select from ops.readers('traceability.pattern_usage_log')
    ) then
        raise exception 'cleanup_old_data: marts are computed from these rows, and would lose what they say of '
            'them; months of them leave by ops.freeze_month and ops.remove_month'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if not p_dry_run and exists (select from ops.legal_holds as h where h.released_at is null) then
        raise exception 'cleanup_old_data: legal hold % is in force, and what it covers is not told apart here',
            (select min(h.hold_id) from ops.legal_holds as h where h.released_at is null)
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    trace_cutoff := now() - make_interval(days => p_trace_days);
    usage_cutoff := now() - make_interval(days => p_usage_days);

    table_name := 'execution_traces';
    with expired_trees as (
        select t.root_id
        from traceability.execution_traces as t
        group by t.root_id
        having bool_and(t.status <> 'in_progress' and t.started_at < trace_cutoff)
    ),

    removed as (
        delete from traceability.execution_traces as t
        using expired_trees as e
        where t.root_id = e.root_id and not p_dry_run
    )

    select count(*) into rows
    from traceability.execution_traces as t
    join expired_trees as e on t.root_id = e.root_id;
    return next;

    table_name := 'pattern_usage_log';
    select count(*) into rows
    from traceability.pattern_usage_log as l
    where l.used_at < usage_cutoff;
    if not p_dry_run then
        delete from traceability.pattern_usage_log as l
        where l.used_at < usage_cutoff;
    end if;
    return next;

    table_name := 'success_patterns';
    with expired as (
        select p.id
        from traceability.success_patterns as p
        where
            p.total_usage_count < 5
            and coalesce(p.success_rate, 0) < 0.5
            and coalesce(p.last_used_at, p.created_at) < pattern_cutoff
            and not exists (
                select from traceability.pattern_usage_log as l
                where l.pattern_id = p.id and l.used_at >= usage_cutoff
            )
    ),

    removed as (
        delete from traceability.success_patterns as p
        using expired as e
        where p.id = e.id and not p_dry_run
    )

    select count(*) into rows
    from expired;
    return next;
end
$function$;

comment on function traceability.cleanup_old_data(int, int, boolean) is
'Deletes old traces with all rows below them, old uses of patterns, and patterns that were used '
'fewer than 5 times, mostly failed and rest for 30 days; returns the rows per table (not those '
'below a trace). Trees with an open or younger trace stay whole. p_dry_run, the default, only '
'counts.';

revoke all on function traceability.cleanup_old_data(int, int, boolean) from public;
grant execute on function traceability.cleanup_old_data(int, int, boolean) to
    agentbooks_retention, service_role;
