ALTER TABLE {schema}.activities DROP CONSTRAINT {key}
