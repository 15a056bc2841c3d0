FROM busybox
WORKDIR /etc
