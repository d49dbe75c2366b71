drop function ops.stamp_change_and_update();
drop function ops.stamp_change();
