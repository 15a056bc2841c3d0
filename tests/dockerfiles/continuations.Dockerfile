FROM alpine
RUN echo one \
    two \
# a comment in between
    # an indented one

    three
RUN echo \
  "a # not a comment" \   
  end
ENV A=b \
    # comment
    C=d
RUN a\\
