SELECT current_setting('transaction_read_only')::boolean OR pg_is_in_recovery()
