-- Removes old traces with their spans. It runs in its owner's name: under a caller's policies it
-- would delete nothing and say so without an error.

set local role agentbooks_owner;

create function observability.cleanup_old_traces(
    retention_days int default 90,
    batch int default 1000
)
returns int
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $function$
declare
    cutoff timestamptz;
    removed int;
begin
    if retention_days is null or retention_days not between 1 and 36500 then
        raise exception 'cleanup_old_traces: retention_days is %, it must be from 1 to 36500',
            coalesce(retention_days::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    if batch is null or batch not between 1 and 100000 then
        raise exception 'cleanup_old_traces: batch is %, it must be from 1 to 100000',
            coalesce(batch::text, 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    cutoff := now() - make_interval(days => retention_days);
    if exists (
        select from ops.readers('observability.traces') union all select from ops.readers('observability.spans')
    ) then
        raise exception 'cleanup_old_traces: marts are computed from these rows, and would lose what they say of '
            'them; months of them leave by ops.freeze_month and ops.remove_month'
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if exists (select from ops.legal_holds as h where h.released_at is null) then
        raise exception 'cleanup_old_traces: legal hold % is in force, and what it covers is not told apart here',
            (select min(h.hold_id) from ops.legal_holds as h where h.released_at is null)
            using errcode = 'object_not_in_prerequisite_state';
    end if;

    -- Whatever its end: failed and cancelled runs age too. One that still claims to run, but wrote
    -- no span since the cut-off, has crashed.
    with expired as materialized (
        select t.trace_id
        from observability.traces as t
        where
            t.started_at < cutoff
            and (
                t.status <> 'running'
                or not exists (
                    select from observability.spans as s
                    where s.trace_id = t.trace_id and s.started_at >= cutoff
                )
            )
        order by t.started_at
        limit batch
        for update skip locked
    )
    delete from observability.traces as t
    using expired as e
    where t.trace_id = e.trace_id;

    get diagnostics removed = row_count;
    return removed;
end
$function$;

comment on function observability.cleanup_old_traces(int, int) is
'Deletes up to batch traces that started more than retention_days ago, oldest first, with their '
'spans; returns how many traces. Call it until it returns 0, each time in a transaction of its '
'own. Leaves runs that are still at work, however old.';

revoke all on function observability.cleanup_old_traces(int, int) from public;
grant execute on function observability.cleanup_old_traces(int, int) to
    agentbooks_retention, service_role;
