"""Person: whose dead letters are to be found, all of them, before they are deleted for good."""

from dataclasses import dataclass

from worker.dead_letters.dead_letter import DeadLetter


@dataclass(frozen=True, slots=True)
class Person:
    """By their id, and their e-mail address where that is known."""

    cognito_user_id: str
    email: str | None = None

    def has(self, letter: DeadLetter) -> bool:
        """Whether it is an event of theirs. One that does not say whose it is, is theirs if it has the id or the
        address anywhere: it may be cut, or no JSON at all."""
        owner = letter.owner
        if owner is not None:
            return owner == self.cognito_user_id
        return any(letter.contains(text) for text in (self.cognito_user_id, self.email) if text)
