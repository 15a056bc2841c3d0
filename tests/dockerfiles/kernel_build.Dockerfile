FROM debian AS kernel
ARG KERNEL=6.12
ADD https://cdn.example.org/linux-${KERNEL}.tar.xz /usr/src/
RUN tar -C /usr/src -xf /usr/src/linux-${KERNEL}.tar.xz
WORKDIR /usr/src/linux-$KERNEL
RUN make defconfig && make -j$(nproc) bzImage
FROM scratch
COPY --from=kernel /usr/src/linux-*/arch/x86/boot/bzImage /
