drop function ops.capture_departures(regclass, text);
drop function ops.mark_departed_rows();
drop table ops.departed_rows;
drop function ops.stamp_change_and_update();
drop function ops.stamp_change();
