FROM busybox
COPY a /renamed
