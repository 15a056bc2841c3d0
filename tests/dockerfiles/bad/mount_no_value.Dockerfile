FROM a
RUN --mount=type=bind,target true
