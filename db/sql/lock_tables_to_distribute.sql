-- In the order in which the worker locks them. Whoever reads or writes waits until all is done.
LOCK TABLE {schema}.users, {schema}.activities IN ACCESS EXCLUSIVE MODE
