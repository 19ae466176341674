-- What is sent is the SCRAM verifier and not the password, so that no log of statements can hold it.
ALTER ROLE {role} PASSWORD {verifier}
