-- What the owner may, who logs in may as well, as before.
GRANT {role} TO CURRENT_USER
