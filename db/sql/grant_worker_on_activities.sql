GRANT SELECT (uuid, replies_count), INSERT, UPDATE (replies_count) ON {schema}.activities TO {role}
