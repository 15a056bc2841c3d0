FROM a
WORKDIR --mode=1 /a
