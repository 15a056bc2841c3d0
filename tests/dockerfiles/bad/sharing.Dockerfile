FROM a
RUN --mount=type=cache,target=/a,sharing=locket true
