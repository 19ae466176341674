GRANT SELECT ON {schema}.activities TO {role}
