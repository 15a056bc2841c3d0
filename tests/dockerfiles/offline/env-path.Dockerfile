FROM busybox
ENV PATH=/opt/bin:$PATH
