"""Everything that speaks to Postgres: the pool, the migrations, the statements and what their errors mean."""
