FROM scratch
ADD rootfs.tar.xz /
ADD --exclude=proc/* more.tar.gz extra.tar.bz2 /opt/
CMD ["/bin/sh"]
