FROM a
RUN --mount=type=cache,id=a true
