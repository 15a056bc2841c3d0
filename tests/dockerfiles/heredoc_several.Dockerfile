FROM debian
RUN cat <<ONE > /one && cat <<TWO > /two && cat <<-'THREE' > /three
first $x
ONE
second
TWO
	third $y
	THREE
