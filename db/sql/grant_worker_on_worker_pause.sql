-- It looks, and no more: to pause the workers is the operators'.
GRANT SELECT ON {schema}.worker_pause TO {role}
