"""All mutants."""

from tests.mutants import database_mutants, operator_mutants, pipeline_mutants, sending_mutants

MUTANTS = (
    *pipeline_mutants.MUTANTS,
    *database_mutants.MUTANTS,
    *sending_mutants.MUTANTS,
    *operator_mutants.MUTANTS,
)
