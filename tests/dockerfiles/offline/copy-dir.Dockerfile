FROM busybox
COPY dir /dir
