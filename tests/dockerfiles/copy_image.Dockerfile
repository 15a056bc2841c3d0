FROM scratch
COPY --from=nginx:latest /etc/nginx/nginx.conf /nginx.conf
COPY --from=busybox@sha256:0000000000000000000000000000000000000000000000000000000000000000 /bin/ /bin/
