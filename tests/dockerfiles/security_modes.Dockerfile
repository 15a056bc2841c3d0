FROM alpine
RUN --security=insecure mount -t tmpfs none /mnt
RUN --security=sandbox id
