drop trigger raaf_tracing_spans_named on raaf.raaf_tracing_spans;
drop function raaf.name_agent();
drop trigger raaf_tracing_span_replays_updated on raaf.raaf_tracing_span_replays;
drop trigger raaf_tracing_spans_updated on raaf.raaf_tracing_spans;
drop trigger raaf_tracing_traces_updated on raaf.raaf_tracing_traces;
