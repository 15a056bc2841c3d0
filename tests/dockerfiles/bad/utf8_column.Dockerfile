FROM a
LABEL ä=ö ü
