-- Whatever the server's default is, messages are Unicode; only template0 may be copied into another encoding.
CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'
