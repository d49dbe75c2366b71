do $archived$
declare
    paired record;
    is_empty boolean;
begin
    for paired in select * from ops.archives loop
        execute format('select not exists (select from %s)', paired.archive) into is_empty;
        if not is_empty then
            raise exception '% holds rows; bring them back first', paired.archive
                using errcode = 'object_not_in_prerequisite_state';
        end if;
    end loop;
end
$archived$;

delete from ops.month_clocks;
drop schema history cascade;
drop function ops.sync_archives();
drop function ops.sync_archive_rights();
drop function ops.create_archive(regclass);
drop view ops.archives;
drop function ops.archive_of(regclass);
drop schema archive cascade;
