-- Triggers, which Citus does not have on distributed tables: there, writers set what these set.

set local role agentbooks_owner;

create trigger raaf_tracing_traces_updated
before update on raaf.raaf_tracing_traces
for each row execute function ops.stamp_change_and_update();

create trigger raaf_tracing_spans_updated
before update on raaf.raaf_tracing_spans
for each row execute function ops.stamp_change_and_update();

create trigger raaf_tracing_span_replays_updated
before update on raaf.raaf_tracing_span_replays
for each row execute function ops.stamp_change_and_update();
