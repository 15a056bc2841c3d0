FROM busybox
RUN mkdir -m 777 /w
USER 1000:1001
RUN touch /w/f
