FROM alpine
RUN true \
