FROMalpine
RUNtrue
ENV	A=b
