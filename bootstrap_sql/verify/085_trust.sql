-- Raises where the fold or a part of it is missing, or a day changes a state in another way than it should.

select 'ops.trust_fold(ops.trust_state, ops.trust_policy, ops.trust_day, smallint[], timestamptz[])'::regprocedure;
