"""The console: what the commands do, for operators with a browser.

It looks at the dead letters, mends them and sends them back with the same code as `signup-sync dlq`, and looks users
up with that of `signup-sync reconcile`. Pages are made from what is in memory: queues, workers and the database are
asked in the background, and only while somebody looks.
"""
