FROM alpine
ENV A="say \"hi\"" B='it''s' C=a"b"c D="\$x" E="back\\slash"
ENV F="'" G='"' H=\' I=\"
