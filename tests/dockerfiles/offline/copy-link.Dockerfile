FROM busybox
COPY link /followed
