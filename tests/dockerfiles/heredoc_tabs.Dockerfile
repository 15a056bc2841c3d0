FROM debian
RUN <<-EOF
	echo one
		echo two
	EOF
