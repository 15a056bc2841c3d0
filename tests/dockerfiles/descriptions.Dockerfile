# base is where everything begins
FROM alpine AS base
# VERSION is what is built
ARG VERSION=1
# not about anything

RUN true
