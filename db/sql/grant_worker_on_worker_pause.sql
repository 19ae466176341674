-- It looks, and no more: to pause the workers is the operators'.
GRANT SELECT ON worker_pause TO {role}
