"""Reading what signup-sync has written to Postgres (`pip install 'signup-sync-client[postgres]'`).

`feed` has the feeds as JSON that a backend hands through, `query` runs statements of your own in the same way.
"""
