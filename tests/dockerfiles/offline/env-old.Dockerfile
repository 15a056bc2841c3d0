FROM busybox
ENV OLD form with spaces
