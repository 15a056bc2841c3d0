FROM debian
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN false | true
SHELL ["/bin/sh", "-c"]
CMD echo hello
