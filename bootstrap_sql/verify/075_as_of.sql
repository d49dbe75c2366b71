select
    'ops.advance_as_of(date)'::regprocedure,
    1 / count(*)
from ops.as_of;
