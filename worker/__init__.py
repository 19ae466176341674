"""The event contract, the consumer that writes events to the database, and the operators' tools."""
