FROM busybox
USER daemon
