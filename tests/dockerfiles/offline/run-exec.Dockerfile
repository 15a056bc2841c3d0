FROM busybox
RUN ["sh", "-c", "echo $0 > /x", "zero"]
