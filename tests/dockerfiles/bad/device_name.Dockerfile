FROM a
RUN --device=required true
