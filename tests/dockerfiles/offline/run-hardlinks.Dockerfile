FROM busybox
RUN echo x > /one && ln /one /two && ln -s one /three
