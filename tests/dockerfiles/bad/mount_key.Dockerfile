FROM a
RUN --mount=type=bind,bind-propagation=shared,target=/a true
