-- Raises where a column, a constraint, an index or a function is missing, and where data still waits
-- to be brought back.

select agent_name, prompt_data, input_context, output_context, chat_messages, execution_metadata
from raaf.raaf_tracing_spans
where false;

select 1 / (count(*) = 6)::int as every_constraint
from pg_constraint
where conrelid = 'raaf.raaf_tracing_spans'::regclass and conname like 'check\_%';

select
    'raaf.idx_raaf_tracing_spans_agent_time'::regclass,
    'raaf.idx_raaf_tracing_spans_agent_class'::regclass,
    'raaf.idx_raaf_tracing_spans_input_context'::regclass,
    'raaf.idx_raaf_tracing_spans_output_context'::regclass,
    'raaf.idx_raaf_tracing_spans_chat_messages'::regclass,
    'raaf.is_prompt_data(jsonb)'::regprocedure,
    'raaf.is_span_context(jsonb)'::regprocedure,
    'raaf.is_chat_messages(jsonb)'::regprocedure,
    'raaf.is_execution_metadata(jsonb)'::regprocedure,
    1 / (to_regclass('raaf.enhanced_span_columns_kept') is null)::int as nothing_waits;
