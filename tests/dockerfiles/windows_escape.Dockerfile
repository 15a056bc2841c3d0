# escape=`
FROM mcr.microsoft.com/windows/servercore
SHELL ["powershell", "-Command", "$ErrorActionPreference = 'Stop';"]
RUN Invoke-WebRequest example.com `
    -OutFile C:\x.zip
COPY testfile.txt c:\
ENV DIR=C:\Users `
    QUOTED="a `" b"
WORKDIR C:\app
CMD ["cmd", "/S", "/C", "dir"]
