do $drop$
declare
    capture record;
begin
    for capture in
        select
            t.tgname,
            t.tgrelid::regclass as captured
        from pg_trigger as t
        where t.tgfoid = 'ops.mark_departed_rows()'::regprocedure
    loop
        execute format('drop trigger %I on %s', capture.tgname, capture.captured);
    end loop;
end
$drop$;

delete from ops.captured_tables;
