FROM alpine
RUN --mount='type=bind,"target=/a,b"' ls "/a,b"
RUN --mount="type=tmpfs,target=/t" ls /t
