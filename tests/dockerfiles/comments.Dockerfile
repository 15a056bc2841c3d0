#not a directive
# another

FROM alpine
    # indented
RUN echo "# in quotes" # passed to the shell
	# with a tab
