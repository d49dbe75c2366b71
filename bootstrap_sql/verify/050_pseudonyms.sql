select 1 / count(*) from ops.pseudonym_salt
where salt <> '';
