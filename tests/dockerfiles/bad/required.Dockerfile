FROM a
ENV A="${unset:?say which}"
