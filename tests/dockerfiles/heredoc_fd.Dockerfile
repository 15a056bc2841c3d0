FROM debian
RUN 3<<IN4 cat <&3
text
IN4
