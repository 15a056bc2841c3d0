FROM a
RUN --mount=type=cache,target=/a,mode=999 true
