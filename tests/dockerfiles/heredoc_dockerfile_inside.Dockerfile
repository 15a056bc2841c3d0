FROM alpine
COPY <<-"Dockerfile" /nested/
	FROM alpine
	RUN <<EOF
	echo nested
	EOF
	Dockerfile
RUN cat /nested/Dockerfile
