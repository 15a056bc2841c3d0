FROM busybox
VOLUME /data /more
