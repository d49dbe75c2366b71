-- The columns' data outlives the columns: it waits in a table of its own until they come back. The
-- key to traces makes it leave with its trace, so that nothing deleted is kept here in secret.

set local role agentbooks_owner;

lock table raaf.raaf_tracing_spans in access exclusive mode;

create table raaf.enhanced_span_columns_kept (
    trace_id varchar not null references raaf.raaf_tracing_traces on delete cascade,
    span_id varchar not null,
    start_time timestamptz not null,
    agent_name varchar(255),
    prompt_data jsonb,
    input_context jsonb,
    output_context jsonb,
    chat_messages jsonb,
    execution_metadata jsonb,
    tenant_id text not null,
    primary key (trace_id, span_id, start_time)
);

alter table raaf.enhanced_span_columns_kept enable row level security;

comment on table raaf.enhanced_span_columns_kept is
'One row per span whose columns of 110_raaf_enhanced_spans held data when that change was reverted. '
'Nobody has rights on it; applying the change again empties it into the spans and drops it.';
comment on column raaf.enhanced_span_columns_kept.trace_id is 'The span''s trace.';
comment on column raaf.enhanced_span_columns_kept.span_id is 'The span.';
comment on column raaf.enhanced_span_columns_kept.start_time is 'The span''s start, part of its key.';
comment on column raaf.enhanced_span_columns_kept.agent_name is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.prompt_data is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.input_context is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.output_context is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.chat_messages is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.execution_metadata is 'As it stood in the span.';
comment on column raaf.enhanced_span_columns_kept.tenant_id is 'The span''s tenant.';

insert into raaf.enhanced_span_columns_kept (
    trace_id, span_id, start_time, agent_name, prompt_data, input_context, output_context,
    chat_messages, execution_metadata, tenant_id
)
select
    trace_id, span_id, start_time, agent_name, prompt_data, input_context, output_context,
    chat_messages, execution_metadata, tenant_id
from raaf.raaf_tracing_spans
where num_nonnulls(
    agent_name, prompt_data, input_context, output_context, chat_messages, execution_metadata
) > 0;

-- Their constraints and indexes go with the columns.
alter table raaf.raaf_tracing_spans
drop column execution_metadata,
drop column chat_messages,
drop column output_context,
drop column input_context,
drop column prompt_data,
drop column agent_name;

drop function raaf.is_execution_metadata(jsonb);
drop function raaf.is_chat_messages(jsonb);
drop function raaf.is_span_context(jsonb);
drop function raaf.is_prompt_data(jsonb);
