   
	FROM alpine
  RUN echo indented
	 RUN	echo	tabs
