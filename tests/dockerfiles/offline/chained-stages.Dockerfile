FROM busybox AS one
RUN echo 1 > /1
FROM one AS two
RUN echo 2 > /2
FROM two
RUN cat /1 /2 > /3
