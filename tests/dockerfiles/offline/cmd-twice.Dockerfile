FROM busybox
CMD ["first"]
CMD ["second"]
