drop trigger usage_logs_updated on observability.usage_logs;
drop trigger cost_aggregations_updated on observability.cost_aggregations;
drop trigger cost_records_updated on observability.cost_records;
drop trigger spans_updated on observability.spans;
drop trigger traces_updated on observability.traces;
drop trigger workflows_updated on observability.workflows;
drop trigger profiles_updated on observability.profiles;

drop policy spans_in_own_traces on observability.spans;

alter table observability.usage_logs
drop constraint usage_logs_workflow_id_fkey,
drop constraint usage_logs_user_id_fkey;

alter table observability.cost_records
drop constraint cost_records_workflow_id_fkey,
drop constraint cost_records_user_id_fkey;

alter table observability.traces
drop constraint traces_user_id_fkey,
drop constraint traces_execution_id_key;
