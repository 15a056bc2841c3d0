FROM a
ENV A=${x/b
