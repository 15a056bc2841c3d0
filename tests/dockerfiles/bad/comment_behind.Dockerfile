FROM a # no comment
