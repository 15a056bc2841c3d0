FROM busybox AS make
RUN mkdir /out && echo made > /out/x && ln -s x /out/l
FROM busybox
COPY --from=make /out /out
