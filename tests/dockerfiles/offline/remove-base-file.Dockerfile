FROM busybox
RUN rm /etc/passwd
