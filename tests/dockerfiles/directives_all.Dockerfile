# syntax = docker.io/docker/dockerfile:1.7-labs
# escape = \
# check = skip=all;experimental=all
FROM alpine
