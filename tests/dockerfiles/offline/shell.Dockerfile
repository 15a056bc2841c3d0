FROM busybox
SHELL ["/bin/sh", "-ec"]
RUN echo $- | grep -o e > /flags
CMD echo x
