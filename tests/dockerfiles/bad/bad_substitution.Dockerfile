FROM a
ENV A=b B=${}
