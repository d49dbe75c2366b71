-- What PostgreSQL does and Citus cannot: a unique key without the distribution column, a key that
-- sets null, triggers, policies that look at another table. A cluster skips this file: there, users
-- see no rows below a trace, and writers and data tests do the rest.

set local role agentbooks_owner;

alter table traceability.execution_traces
add constraint execution_traces_correlation_id_key unique (correlation_id);

alter table traceability.agent_routing_decisions
add constraint agent_routing_decisions_pattern_id_fkey foreign key (pattern_id)
references traceability.success_patterns (id) on delete set null;

-- Rows below a trace carry no user. The subqueries stand under the policy of execution_traces, so
-- they find own traces alone.
create policy agent_routing_decisions_read on traceability.agent_routing_decisions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and exists (
        select from traceability.execution_traces as t
        where t.id = agent_routing_decisions.trace_id
    )
);

create policy hook_executions_read on traceability.hook_executions
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and exists (
        select from traceability.execution_traces as t
        where t.id = hook_executions.trace_id
    )
);

create policy endpoint_calls_read on traceability.endpoint_calls
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and exists (
        select from traceability.execution_traces as t
        where t.id = endpoint_calls.trace_id
    )
);

create policy pattern_usage_log_read on traceability.pattern_usage_log
for select to authenticated
using (
    tenant_id = (select ops.caller_tenant_id())
    and exists (
        select from traceability.execution_traces as t
        where t.id = pattern_usage_log.trace_id
    )
);

create function traceability.set_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    if current_setting('agentbooks.is_lifecycle', true) = 'on' and ops.is_lifecycle() then
        return new;
    end if;
    new.change_id := pg_current_xact_id()::text::bigint;
    new.updated_at := clock_timestamp();
    return new;
end
$function$;

comment on function traceability.set_updated_at() is
'Trigger: before each update, sets updated_at to the time, change_id to the running transaction.';

revoke all on function traceability.set_updated_at() from public;

create trigger trg_success_patterns_updated_at before update on traceability.success_patterns
for each row execute function traceability.set_updated_at();

create trigger trg_pattern_usage_log_updated_at before update on traceability.pattern_usage_log
for each row execute function traceability.set_updated_at();

create trigger trg_agent_chaining_patterns_updated_at before update
on traceability.agent_chaining_patterns
for each row execute function traceability.set_updated_at();

create trigger trg_error_patterns_updated_at before update on traceability.error_patterns
for each row execute function traceability.set_updated_at();

create trigger trg_execution_traces_updated_at before update on traceability.execution_traces
for each row execute function traceability.set_updated_at();

create trigger trg_agent_routing_decisions_updated_at before update
on traceability.agent_routing_decisions
for each row execute function traceability.set_updated_at();

create trigger trg_hook_executions_updated_at before update on traceability.hook_executions
for each row execute function traceability.set_updated_at();

create trigger trg_endpoint_calls_updated_at before update on traceability.endpoint_calls
for each row execute function traceability.set_updated_at();

-- In its owner's name: whoever may delete a pattern may not write tombstones of his own.
create function traceability.bury_pattern() returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
begin
    insert into ops.pruned_patterns as known (
        pattern_id, tenant_id, pattern, domain, is_learned, uses, judged_uses, successes, reason
    )
    select
        old.id,
        old.tenant_id,
        case when old.pattern_hash like 'learned:%' then '… ' else '' end
        || array_to_string(
            case when cardinality(old.tool_sequence) > 0 then old.tool_sequence else old.agent_sequence end,
            ' → '
        )
        || case when old.pattern_hash like 'learned:%' then ' …' else '' end,
        old.domain,
        old.pattern_hash like 'learned:%',
        greatest(counts.uses, old.total_usage_count),
        case
            when counts.judged_uses > old.total_usage_count then counts.judged_uses
            else old.total_usage_count
        end,
        case
            when counts.judged_uses > old.total_usage_count then counts.successes
            else old.success_count
        end,
        coalesce(nullif(current_setting('agentbooks.prune_reason', true), ''), 'deleted')
    from (
        select
            count(*) as uses,
            count(l.success) as judged_uses,
            count(*) filter (where l.success) as successes
        from history.traceability__pattern_usage_log as l
        where l.pattern_id = old.id
    ) as counts
    on conflict (pattern_id) do update
    set
        uses = known.uses + excluded.uses,
        judged_uses = known.judged_uses + excluded.judged_uses,
        successes = known.successes + excluded.successes,
        reason = excluded.reason,
        pruned_at = excluded.pruned_at;
    return old;
end
$function$;

comment on function traceability.bury_pattern() is
'Trigger: before a pattern is deleted, and its uses with it, writes its tombstone.';

revoke all on function traceability.bury_pattern() from public;

create trigger success_patterns_buried before delete on traceability.success_patterns
for each row execute function traceability.bury_pattern();
