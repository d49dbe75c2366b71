select 'ops.stamp_change()'::regprocedure, 'ops.stamp_change_and_update()'::regprocedure;
