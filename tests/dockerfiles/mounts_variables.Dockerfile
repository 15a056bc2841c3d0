FROM alpine
ARG UID=1000
ARG CACHE=/home/app/.cache
RUN --mount=type=cache,target=$CACHE,uid=${UID},gid=$UID,id=cache-${UID:-0} touch $CACHE/x
