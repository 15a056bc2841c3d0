ARG BASE=busybox
FROM $BASE
RUN echo based > /x
