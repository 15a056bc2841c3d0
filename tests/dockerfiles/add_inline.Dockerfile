FROM alpine
ADD <<FOO /foo
some text
FOO
