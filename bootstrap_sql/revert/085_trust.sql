drop function ops.trust_state_of(text, text);
drop function ops.trust_checkpoint(text, text);
drop function ops.checkpoint_trust(regclass, date);
drop table ops.trust_checkpoints;
drop aggregate ops.trust_fold(
    ops.trust_state, ops.trust_policy, ops.trust_day, smallint[], timestamptz[]
);
drop function ops.trust_add_day(
    ops.trust_state, ops.trust_state, ops.trust_policy, ops.trust_day, smallint[], timestamptz[]
);
drop function ops.trust_by_window(ops.trust_state, ops.trust_policy, ops.trust_day, timestamptz);
drop function ops.trust_by_evidence(ops.trust_state, ops.trust_policy, smallint[], timestamptz[]);
drop function ops.trust_idle(ops.trust_state, ops.trust_policy, timestamptz);
drop function ops.trust_move(
    ops.trust_state, ops.trust_policy, timestamptz, int, text, text
);
drop function ops.trust_attempt(ops.trust_state, ops.trust_policy);
drop type ops.trust_state;
drop type ops.trust_day;
drop type ops.trust_change;
drop type ops.trust_policy;
