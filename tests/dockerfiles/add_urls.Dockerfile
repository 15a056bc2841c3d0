FROM alpine
ADD https://example.com/a.tar.gz /a/
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/b.tar /b/
ADD --chown=1:1 --chmod=600 --link https://example.com/c /c
ADD --unpack=true https://example.com/d.tar.gz /d/
ADD --unpack=false e.tar.gz /e/
ADD --unpack f.tar /f/
