FROM alpine AS tools
FROM alpine
RUN --mount=type=bind,from=tools,src=/bin,dst=/t,readonly ls /t
RUN --mount=type=bind,from=tools,source=/bin,destination=/t,readwrite touch /t/x
RUN --mount=type=bind,target=/ctx,ro=true ls /ctx
RUN --mount=type=bind,target=/ctx,rw=true touch /ctx/x
RUN --mount=type=cache,target=/c,ro ls /c
RUN --mount=type=cache,target=/c,from=tools,source=/etc cp -r /c /d
