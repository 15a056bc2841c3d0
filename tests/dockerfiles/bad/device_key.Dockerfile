FROM a
RUN --device=a.com/b=c,requird true
