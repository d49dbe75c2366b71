drop function traceability.match_patterns(public.vector, text[], text, jsonb, int);
