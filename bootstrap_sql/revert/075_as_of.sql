drop function ops.advance_as_of(date);
drop table ops.as_of;
