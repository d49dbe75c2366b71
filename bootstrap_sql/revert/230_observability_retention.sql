drop function observability.cleanup_old_traces(int, int);
