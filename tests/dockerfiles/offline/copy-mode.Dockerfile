FROM busybox
COPY exec.sh /bin/
RUN exec.sh > /said
