FROM a
RUN --mount=type=bnd,target=/a true
