FROM busybox
ENTRYPOINT ["sh", "-c"]
CMD ["id"]
