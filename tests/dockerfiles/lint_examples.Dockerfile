FROM alpine AS Base
MAINTAINER nobody
WORKDIR relative
ENV legacy form
ARG API_TOKEN
EXPOSE 80/TCP 1.2.3.4:80:80
CMD one
CMD two
