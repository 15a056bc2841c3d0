FROM busybox
LABEL maintainer=me
ENV ROOT=/site
RUN mkdir -p $ROOT && echo web:x:1234:1234::/: >> /etc/passwd && echo web:x:1234: >> /etc/group
COPY --chown=web dir $ROOT
USER web
WORKDIR $ROOT
EXPOSE 8000
CMD ["httpd", "-f", "-p", "8000"]
