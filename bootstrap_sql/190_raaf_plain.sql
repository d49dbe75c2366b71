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

-- Checks bind each new version of a row: without this, nobody could end a span that is older than the
-- column of names until `agentbooks backfill raaf` has come to it.
create function raaf.name_agent() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
    new.agent_name := coalesce(
        nullif(btrim(left(new.span_attributes ->> 'agent.name', 255)), ''),
        nullif(btrim(left(new.span_attributes #>> '{agent,name}', 255)), ''),
        nullif(btrim(new.name), ''),
        'unknown'
    );
    return new;
end
$function$;

comment on function raaf.name_agent() is
'Trigger: gives an agent''s span without a name the one that its attributes say, or its own.';

revoke all on function raaf.name_agent() from public;

create trigger raaf_tracing_spans_named
before update on raaf.raaf_tracing_spans
for each row when (
    new.kind = 'agent'
    and btrim(coalesce(new.agent_name, '')) = ''
    and btrim(coalesce(old.agent_name, '')) = ''
)
execute function raaf.name_agent();
