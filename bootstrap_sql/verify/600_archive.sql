-- Raises where an archive, a view of history or a right is missing, or an archive has other columns
-- than its table.

select
    'ops.sync_archives()'::regprocedure,
    'ops.sync_archive_rights()'::regprocedure,
    'ops.create_archive(regclass)'::regprocedure,
    1 / (ops.archive_of('observability.spans') = 'archive.observability__spans'::regclass)::int,
    1 / ((select count(*) from ops.archives) = 25)::int,
    1 / (not exists (
        select from pg_class as c
        where
            c.relnamespace::regnamespace::text in (select s.schema_name from ops.raw_schemas as s)
            and c.relowner = 'agentbooks_owner'::regrole
            and c.relkind in ('r', 'p')
            and not c.relispartition
            and to_regclass(format('history.%I', ops.archive_name(c.oid))) is null
    ))::int,
    1 / (not has_table_privilege('service_role', 'archive.observability__spans', 'insert'))::int,
    1 / (not exists (
        select from ops.archives as a
        where
            (
                select string_agg(c.attname || format_type(c.atttypid, c.atttypmod), ',' order by c.attname)
                from pg_attribute as c
                where c.attrelid = a.hot and c.attnum > 0 and not c.attisdropped
            ) is distinct from (
                select string_agg(c.attname || format_type(c.atttypid, c.atttypmod), ',' order by c.attname)
                from pg_attribute as c
                where c.attrelid = a.archive and c.attnum > 0 and not c.attisdropped
            )
    ))::int;

select
    trace_id,
    span_id,
    change_id
from history.observability__spans
where false;
