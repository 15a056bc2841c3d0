FROM alpine
LABEL name=café
RUN touch /ÿþ
