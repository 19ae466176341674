-- As SET LOCAL ROLE: for this transaction alone.
SELECT set_config('role', %(role)s, true)
