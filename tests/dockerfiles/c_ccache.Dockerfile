FROM debian AS build
RUN --mount=type=cache,target=/ccache,id=ccache,sharing=shared,mode=0755,uid=0,gid=0 \
    --mount=type=bind,source=src,target=/src,rw \
    CCACHE_DIR=/ccache make -C /src
