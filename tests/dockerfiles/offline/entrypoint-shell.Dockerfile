FROM busybox
ENTRYPOINT exec top
