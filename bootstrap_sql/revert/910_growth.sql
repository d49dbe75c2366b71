do $growing$
begin
    if exists (select from ops.growths) then
        raise exception '% is becoming partitioned; finish it or give it up first (`agentbooks partition`)',
            (select min(g.table_name) from ops.growths as g)
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end
$growing$;

set local role agentbooks_owner;

drop function ops.drop_growth(regclass);
drop function ops.finish_growth(regclass);
drop function ops.undo_growth(regclass);
drop function ops.switch_growth(regclass);
drop function ops.lock_growth(ops.growths);
drop function ops.swap_growth(ops.growths, boolean);
drop function ops.grow(regclass, int);
drop function ops.apply_growth(ops.growths, int);
drop function ops.start_growth(regclass, text);
drop function ops.unlog_growth(text);
drop function ops.log_growth(text, text[]);
drop function ops.growth_time(regclass);
drop function ops.growth_obstacles(regclass, text);
drop function ops.growth_key(regclass, text);
drop function ops.growing_name(text, text, text);
drop table ops.growths;
delete from ops.personal_data
where table_name = 'ops.growths';
delete from ops.table_layouts
where table_name = 'ops.growths';
drop schema outgrown;
drop schema growing;
