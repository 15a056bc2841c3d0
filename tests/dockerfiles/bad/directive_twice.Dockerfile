# escape=\
# escape=\
FROM a
