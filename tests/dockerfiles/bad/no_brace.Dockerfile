FROM a
ENV A=b${x
