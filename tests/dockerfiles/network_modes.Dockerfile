FROM alpine
RUN --network=none ip link
RUN --network=host ping -c1 localhost
RUN --network=default wget -q example.com
