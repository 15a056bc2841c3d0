FROM a
ENV A=${x#\d}
