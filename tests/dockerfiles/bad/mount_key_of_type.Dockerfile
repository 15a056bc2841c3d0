FROM a
RUN --mount=type=tmpfs,target=/a,id=b true
