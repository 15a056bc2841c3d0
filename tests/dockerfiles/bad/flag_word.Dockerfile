FROM a
RUN --network=hots true
