FROM busybox AS never
RUN echo never > /never
FROM busybox
RUN echo x > /x
