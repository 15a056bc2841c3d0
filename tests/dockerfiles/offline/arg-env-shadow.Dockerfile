FROM busybox
ARG X=arg
ENV X=env
RUN echo $X > /x
