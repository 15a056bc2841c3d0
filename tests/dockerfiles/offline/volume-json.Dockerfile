FROM busybox
VOLUME ["/a", "/b"]
