drop table observability.spans;
drop table observability.traces;
drop function observability.is_token_counts(jsonb);
