-- Reverting 110_raaf_enhanced_spans left the columns' data aside for the spans; without spans there
-- is nothing that it could come back to.

drop table if exists raaf.enhanced_span_columns_kept;
drop table raaf.raaf_tracing_span_replays;
drop table raaf.raaf_tracing_spans;
drop table raaf.raaf_tracing_traces;
drop schema raaf;
