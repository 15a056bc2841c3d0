FROM a
HEALTHCHECK --interval=10us CMD true
