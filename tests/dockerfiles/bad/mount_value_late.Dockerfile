FROM a
RUN --mount=type=cache,target=/a,uid=$x true
