FROM alpine
ARG HTTP_PROXY
ARG http_proxy https_proxy no_proxy all_proxy
RUN wget example.com
