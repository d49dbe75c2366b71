-- What PostgreSQL does and Citus cannot: a unique key without the distribution column, keys that
-- set null, triggers, a policy that looks at another table. A cluster skips this file, and its
-- writers and data tests do the same work.

set local role agentbooks_owner;

alter table observability.traces
add constraint traces_execution_id_key unique (execution_id);

-- A deleted profile leaves its runs without a user; no policy shows those to other users.
alter table observability.traces
add constraint traces_user_id_fkey foreign key (user_id)
references observability.profiles (id) on delete set null;

alter table observability.cost_records
add constraint cost_records_user_id_fkey foreign key (user_id)
references observability.profiles (id) on delete set null,
add constraint cost_records_workflow_id_fkey foreign key (workflow_id)
references observability.workflows (id) on delete set null;

alter table observability.usage_logs
add constraint usage_logs_user_id_fkey foreign key (user_id)
references observability.profiles (id) on delete set null,
add constraint usage_logs_workflow_id_fkey foreign key (workflow_id)
references observability.workflows (id) on delete set null;

-- A span's own user is checked by its other policy. This one keeps a user from hanging a span under
-- a trace that is not theirs: the subquery sees own traces alone.
create policy spans_in_own_traces on observability.spans
as restrictive for all to authenticated
using (true)
with check (
    exists (select from observability.traces as t
where t.trace_id = spans.trace_id)
);

create trigger profiles_updated before update on observability.profiles
for each row execute function ops.stamp_change_and_update();

create trigger workflows_updated before update on observability.workflows
for each row execute function ops.stamp_change_and_update();

create trigger traces_updated before update on observability.traces
for each row execute function ops.stamp_change();

create trigger spans_updated before update on observability.spans
for each row execute function ops.stamp_change();

create trigger cost_records_updated before update on observability.cost_records
for each row execute function ops.stamp_change();

create trigger cost_aggregations_updated before update on observability.cost_aggregations
for each row execute function ops.stamp_change_and_update();

create trigger usage_logs_updated before update on observability.usage_logs
for each row execute function ops.stamp_change();
