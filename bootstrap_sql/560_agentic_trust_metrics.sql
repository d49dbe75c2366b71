-- Metrics of sessions whose application writes none, derived from what was decided in them.

set local role agentbooks_owner;

create function agentic.derive_trust_metrics() returns bigint
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    with judged as (
        select
            d.session_id,
            d.tenant_id,
            d.created_at,
            (d.user_feedback = 'approved')::int as success,
            row_number() over (
                partition by d.session_id order by d.created_at desc, d.decision_id desc
            ) as recency
        from agentic.agent_decisions as d
        where d.user_feedback in ('approved', 'modified', 'rejected')
    ),

    counted as (
        select
            session_id,
            min(tenant_id) as tenant_id,
            max(created_at) as recorded_at,
            count(*) as decisions,
            sum(success) as successes,
            count(*) filter (where recency > 5) as decisions_before,
            coalesce(sum(success) filter (where recency > 5), 0) as successes_before
        from judged
        group by session_id
    ),

    -- What the rate is expected to be, from a uniform prior: five successes raise it, from whatever it was.
    expected as (
        select
            session_id,
            tenant_id,
            recorded_at,
            decisions,
            successes,
            round(100.0 * (successes + 1) / (decisions + 2), 4) as accuracy,
            round(100.0 * (successes_before + 1) / (decisions_before + 2), 4) as accuracy_before
        from counted
    ),

    derived as (
        select
            md5(session_id::text || ' accuracy')::uuid as metric_id,
            session_id,
            tenant_id,
            recorded_at,
            accuracy,
            jsonb_build_object(
                'derived_from', 'agent_decisions',
                'decisions', decisions,
                'successes', successes,
                'confidence_trend',
                case sign(accuracy - accuracy_before)
                    when 1 then 'rising' when -1 then 'falling' else 'steady'
                end
            ) as measurement_context
        from expected
    ),

    written as (
        insert into agentic.trust_metrics as m
            (session_id, metric_id, metric_type, metric_value, measurement_context, recorded_at, tenant_id)
        select session_id, metric_id, 'accuracy', accuracy, measurement_context, recorded_at, tenant_id
        from derived
        where
            not exists (
                select
                from agentic.trust_metrics as written_by_application
                where
                    written_by_application.session_id = derived.session_id
                    and written_by_application.metric_type = 'accuracy'
                    and written_by_application.metric_id <> derived.metric_id
            )
        on conflict (session_id, metric_id) do update
        set metric_value = excluded.metric_value,
            measurement_context = excluded.measurement_context,
            recorded_at = excluded.recorded_at
        where
            (m.metric_value, m.measurement_context, m.recorded_at)
            is distinct from (excluded.metric_value, excluded.measurement_context, excluded.recorded_at)
        returning 1
    )

    select count(*) from written;
end;

comment on function agentic.derive_trust_metrics() is
'Writes the accuracy of each session whose application has written none, with the trend over its last five '
'judged decisions; returns how many are new or another than before. The level of trust is not touched: that '
'is what marts.trust_progression says.';

revoke all on function agentic.derive_trust_metrics() from public;
grant execute on function agentic.derive_trust_metrics() to agentbooks_loader, service_role;
