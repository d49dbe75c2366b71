drop function traceability.match_score(double precision, text[], text[], boolean, boolean, numeric);
