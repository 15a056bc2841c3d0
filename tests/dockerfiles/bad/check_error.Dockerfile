# check=error=yes
FROM a
