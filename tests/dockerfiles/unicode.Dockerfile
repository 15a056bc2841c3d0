FROM alpine
LABEL grüße="schöne Grüße" emoji=🦀
ENV NAME=Ünïcödé
RUN echo "日本語" > /файл
COPY données /δεδομένα/
