drop table ops.pseudonym_salt;
