FROM python:3.12 AS test
COPY . /t
RUN ["pytest", "-q", "/t"]
